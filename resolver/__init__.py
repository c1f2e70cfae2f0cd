"""Who answers what: the servers, the engine and the processes they run in."""
