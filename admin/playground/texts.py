"""What the playground says, in English and Chinese. Data only."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_ROWS: Final = (
    # key, English, Chinese
    (
        "building",
        "Making {count} nodes, each with its store and keys, and starting them…",
        "正在建立并启动 {count} 个节点，各有存储和密钥……",
    ),
    (
        "ready",
        "{count} nodes serve {records} records, ready after {seconds:.1f} s. The map:",
        "{count} 个节点提供 {records} 条记录，{seconds:.1f} 秒后就绪。拓扑：",
    ),
    ("seat.root", "knows who keeps 88", "知道 88 由谁管理"),
    ("seat.national", "88: knows the secondary nodes", "88：知道各二级节点"),
    ("seat.secondary-a", "88.608, and hosts a distillery: 88.608.24061301", "88.608，并托管一家酒厂：88.608.24061301"),
    ("seat.mirror-a", "a copy of secondary-a", "secondary-a 的镜像"),
    (
        "seat.secondary-b",
        "88.118, and hosts machine tools 88.118.122, freight 88.118.131",
        "88.118，并托管机床 88.118.122、物流 88.118.131",
    ),
    ("seat.auto-parts", "88.608.7: an enterprise with a node of its own", "88.608.7：自建节点的企业"),
    ("seat.pharma", "88.118.8: an enterprise whose node fails now and then", "88.118.8：节点时常失联的企业"),
    ("seat.recursive", "keeps nothing, and finds anything for this machine", "不存数据，为本机解析一切标识"),
    ("follow", "One resolution, followed from the root down:", "从根节点开始，跟踪一次解析："),
    (
        "follow.recursive",
        "Through the recursive node it took {first:.1f} ms, and {second:.1f} ms when that remembered it.",
        "经递归节点首次用时 {first:.1f} 毫秒，记住之后 {second:.1f} 毫秒。",
    ),
    ("try", "Try in another terminal:", "在另一个终端中试试："),
    ("try.trace", "follow the referrals yourself, from the root", "自己从根开始跟随转介"),
    ("try.recursive", "let the recursive node find it; the second time it remembers", "让递归节点去找；第二次它已记住"),
    ("try.referral", "what the national node says: ask there", "国家节点的回答：去问它"),
    ("try.mirror", "the distillery's records, from the mirror", "从镜像读取酒厂的记录"),
    ("try.failing", "while it is silent, what was asked before is still answered", "它失联时，问过的仍能得到回答"),
    ("try.write", "the enterprise changes its stock; a second later all see it", "企业修改库存；一秒后人人可见"),
    ("try.status", "whether its secondary delegates to it as it is", "上级的委托是否与本节点一致"),
    ("try.cache", "what the recursive node remembers", "递归节点记住了什么"),
    (
        "try.kill",
        "take the root away: all goes on but the first line, which asks the root itself",
        "去掉根节点：除第一行直接询问根以外，其余照常可用",
    ),
    ("end", "Ctrl-C ends all nodes and removes everything.", "按 Ctrl-C 结束所有节点并删除一切。"),
    ("end.kept", "Ctrl-C ends all nodes; {folder} stays.", "按 Ctrl-C 结束所有节点；{folder} 保留。"),
    ("silent", "{name} is silent for {seconds:.0f} s", "{name} 失联 {seconds:.0f} 秒"),
    ("back", "{name} answers again", "{name} 恢复应答"),
    ("died", "{name} has gone; the others go on", "{name} 已离线；其他节点继续工作"),
    ("stopping", "Stopping…", "正在停止……"),
    ("stopped", "All {count} nodes have ended.", "{count} 个节点均已结束。"),
    ("step.referrals", "a client that knows only the root follows referrals", "只知道根的客户端跟随转介"),
    (
        "step.certified",
        "the same, every answer signed, from the root's key on",
        "同样的结果，每个应答都有签名，直到根密钥",
    ),
    ("step.recursive", "the recursive node finds the same", "递归节点得到同样结果"),
    ("step.cached", "asked again while all others hang", "其他节点全部挂起时再问一次"),
    ("step.sets", "all five data sets through the recursive node", "经递归节点解析五个数据集"),
    ("step.references", "from a freight event to the machine that made the part", "从物流事件到制造零件的机床"),
    ("step.mirror", "the mirror answers while its primary is stopped", "主节点停止时由镜像应答"),
    ("step.root", "the root is killed; new products are still found", "根节点被杀；新产品仍能找到"),
    ("step.miss", "what does not exist is not found", "不存在的标识：未找到"),
    ("step.stranger", "an enterprise answers for its own prefix alone", "企业只回答自己的前缀"),
    (
        "step.failing",
        "an enterprise hangs: known answers stay, the rest fails clearly",
        "企业节点挂起：已知答案仍在，其余明确报错",
    ),
    ("step.write", "a change at the enterprise is seen when its TTL is over", "企业的修改在 TTL 后可见"),
    ("step.denied", "nobody writes with another's key", "不能用他人的密钥写入"),
    ("step.stop", "all nodes stop", "所有节点停止"),
    ("passed", "all {count} steps passed in {seconds:.1f} s", "全部 {count} 步通过，用时 {seconds:.1f} 秒"),
    ("failed", "{failed} of {count} steps failed", "{count} 步中有 {failed} 步失败"),
)
TEXTS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType({key: (en, zh) for key, en, zh in _ROWS})
assert len(TEXTS) == len(_ROWS), "one key stands in two rows"


def said(key: str, lang: str, **fields: object) -> str:
    """One line, its fields filled in; `en` for any language but `zh`."""
    english, chinese = TEXTS[key]
    return (chinese if lang == "zh" else english).format(**fields)
