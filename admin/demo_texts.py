"""What the demonstration says, in English and Chinese. Data only."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

STORY: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "intro": {
            "en": "A distillery gives each bottle, box, batch and supplier an identifier. This node answers for them.",
            "zh": "一家酒厂为每瓶酒、每箱酒、每个批次和供应商都赋予标识。这个节点将为它们提供解析。",
        },
        "init": {
            "en": "1. Make a node: configuration, keys and a store, and the firm's prefix {prefix} homed in it.",
            "zh": "1. 建立节点：配置、密钥和存储，并托管企业前缀 {prefix}。",
        },
        "import": {
            "en": "2. Import the firm's records: {files} CSV files from its system, one for each kind of thing.",
            "zh": "2. 导入企业数据：来自其业务系统的 {files} 个 CSV 文件，每类对象一个。",
        },
        "imported": {
            "en": "   {records} records are stored, each on disk before it was acknowledged.",
            "zh": "   已存入 {records} 条记录，每条都先落盘后确认。",
        },
        "serve": {
            "en": "3. Serve them, over UDP and TCP, one process a core.",
            "zh": "3. 启动服务：UDP 与 TCP，每个核一个进程。",
        },
        "resolve": {
            "en": "4. Somebody scans a bottle. Its label says {handle}, and the node is asked over UDP:",
            "zh": "4. 有人扫描一瓶酒，标签上是 {handle}，经 UDP 向节点提问：",
        },
        "follow": {
            "en": "5. Where does it come from? Each record names the next one; UDP and TCP take turns:",
            "zh": "5. 它从哪里来？每条记录指向下一条；UDP 与 TCP 轮流使用：",
        },
        "references": {
            "en": "   All {all} references were followed: {found} lead to a record, {dangling} to what others keep\n"
            "   (a consumer's scan, a store's sign-off) and are answered with 100, handle not found.",
            "zh": "   全部 {all} 个引用都已解析：{found} 个指向记录，{dangling} 个属于其他系统\n"
            "   （消费者扫码、门店签收），回答为 100：标识不存在。",
        },
        "filter": {
            "en": "6. A client may ask for some values only, here those of the type {kind}:",
            "zh": "6. 客户端可以只要部分值，这里只要类型 {kind}：",
        },
        "missing": {
            "en": "7. A handle that does not exist, and one whose prefix lives elsewhere:",
            "zh": "7. 一个不存在的标识，以及一个前缀不在此处的标识：",
        },
        "malformed": {
            "en": "8. Strangers send anything. Short nonsense gets silence, the rest an answer no larger than it was:",
            "zh": "8. 陌生人什么都会发。短的乱码得到沉默，其余得到不大于自身的回答：",
        },
        "silence": {"en": "{sent} octets of zeros → silence", "zh": "{sent} 个零字节 → 沉默"},
        "refused": {
            "en": "{sent} octets with an unknown opcode → {size} octets back, code {code}",
            "zh": "{sent} 字节、未知操作码 → 返回 {size} 字节，代码 {code}",
        },
        "rates": {
            "en": "9. A short self-test with one client process (`make bench` measures properly):",
            "zh": "9. 一个客户端进程的简短自测（正式测量请用 `make bench`）：",
        },
        "rate": {
            "en": "{way}: {rate:,.0f} resolutions a second, half of them within {p50:.2f} ms",
            "zh": "{way}：每秒 {rate:,.0f} 次解析，一半在 {p50:.2f} 毫秒之内",
        },
        "stop": {
            "en": "10. Stop it: open connections end, the exit code is {code}.",
            "zh": "10. 停止节点：连接正常结束，退出码 {code}。",
        },
        "end": {
            "en": "That was all. A node of your own:",
            "zh": "演示结束。建立您自己的节点：",
        },
    }
)


def said(key: str, lang: str, **fields: object) -> str:
    """One line of the story."""
    return STORY[key][lang].format(**fields)
