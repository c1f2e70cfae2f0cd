"""SM2 within a node: the library's words do not reach the log, Python's do, and a missing extra is told once."""

import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from protocol.trust import gm
from protocol.trust.challenge import PublicKeyAnswer
from protocol.trust.session import SessionCipher, SessionKey
from resolver import sm2_keys
from tests.support.running import PROJECT
from tests.support.sm2 import DATA, OPENSSL, PROOF, USER

needs_extra = pytest.mark.skipif(not gm.is_installed(), reason="the optional extra gm is not installed")

REFUSED = """\
import os, sys
from protocol.trust import gm
from protocol.trust.challenge import PublicKeyAnswer
from resolver import sm2_keys
from tests.support.sm2 import DATA, OPENSSL, PROOF, USER
module = {"loud": gm.sm2_answer_is_valid, "quiet": sm2_keys.answer_is_valid}[sys.argv[1]]
for proof in (PROOF[:-1] + b"!", PROOF[:20]):
    assert not module(PublicKeyAnswer(b"SM3", proof), OPENSSL.public_key, DATA, USER)
print("Python speaks", file=sys.stderr)
os.write(2, b"so does the descriptor")
"""


def heard(how: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", REFUSED, how],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ended.stderr


@needs_extra
def test_nothing_of_the_librarys_words_is_heard_and_all_of_pythons() -> None:
    assert "sm2_sign.c" in heard("loud"), "the library has become silent by itself: this module is not needed any more"
    assert heard("quiet") == "Python speaks\nso does the descriptor"


@needs_extra
def test_good_answers_are_still_good_in_many_threads() -> None:
    good, bad = PublicKeyAnswer(b"SM3", PROOF), PublicKeyAnswer(b"SM3", PROOF[:-1] + b"!")
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(
            lambda number: sm2_keys.answer_is_valid(good if number % 2 else bad, OPENSSL.public_key, DATA, USER),
            range(40),
        )
        assert list(found) == [bool(number % 2) for number in range(40)]
    streams = sm2_keys._streams()
    assert streams is None or streams[0].value == streams[1], "C's stream is what it was"


@needs_extra
def test_a_session_key_is_wrapped_for_its_owner() -> None:
    session = SessionKey(SessionCipher.SM4, b"abcdefghijklmnop")
    assert gm.sm2_unwrapped_key(OPENSSL, sm2_keys.wrapped_key(OPENSSL.public_key, session)) == session


def test_without_the_extra_no_answer_is_valid_and_the_log_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "gmssl_pyx", None)
    sm2_keys._tell_that_it_is_missing.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert not sm2_keys.answer_is_valid(PublicKeyAnswer(b"SM3", PROOF), OPENSSL.public_key, DATA, USER)
    assert [record.getMessage() for record in caplog.records] == [
        "a client proved an SM2 key, which is refused here: pip install 'hnode[gm]' and restart the node"
    ]
