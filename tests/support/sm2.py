"""What OpenSSL 3.0.19 made for an SM2 key: its text, a signature, and a wrapped session key. Nothing here is secret."""

from protocol.trust.gm import Sm2PrivateKey

OPENSSL = Sm2PrivateKey(
    bytes.fromhex("4c717e0d990b9ce016e30ccd8b5d59ca17d373aad40a170b7bbcc3db3b13b00c"),
    bytes.fromhex(
        "5668838815baab47be88e9fc32ffb353db57e1a75857a81eac52de87c9683ce9"
        "b65c6e79bcd066156e34af8a69d4e94b21d65661e513b4ca38e53344bcc3f424"
    ),
)
OPENSSL_TEXT = b"""-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoEcz1UBgi0DQgAEVmiDiBW6q0e+iOn8Mv+zU9tX4adY
V6gerFLeh8loPOm2XG55vNBmFW40r4pp1OlLIdZWYeUTtMo45TNEvMP0JA==
-----END PUBLIC KEY-----
"""
DATA = b"nonceandrequestdigest"
USER = b"88.608.0042/APP_MES"
# The signature of the SM3 digest of DATA for USER.
PROOF = bytes.fromhex(
    "304402207c6c4e08156164a65274967f6ff1611f3c60399ac4a9ec7b63a816c2b3b13a57"
    "02202255cc6a365687905ce217bc58b49708ffe8c453917dccc4a265589bee3ee23d"
)
# The number 4 (SM4) and the key "abcdefghijklmnop", encrypted for the key above.
OPENSSL_WRAPPED = bytes.fromhex(
    "307d022074af941b1140459a97bdf821141fb97ef5d530da43b98285ad8aa48e90f9c20d"
    "022100cf7c412cb4b2832ef54984ef509a5473be43fc2d6c7001a683a78721a0b2f5d5"
    "04204b1fb59c65852d4e5fb8143198948ff69b788488085ae37fb51839e53c7823fc"
    "041442299189116feeec6ad9713994a7d3367acae24d"
)
