"""What the command line says, in English and Chinese. Error codes, keys and names of commands are never translated."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

LANGUAGES: Final = ("en", "zh")

_ROWS: Final = (
    # key, English, Chinese
    ("error", "error: ", "错误："),
    ("next", "next:  ", "下一步："),
    ("usage", "Usage: ", "用法："),
    ("Options", "Options", "选项"),
    ("Commands", "Commands", "命令"),
    ("interrupted", "interrupted", "已中断"),
    ("fault", "a fault of hnode itself, not yours", "hnode 内部故障，与您的操作无关"),
    ("fault.next", "report this line and the command that led to it", "请报告这一行和所执行的命令"),
    ("unreachable", "the node does not answer", "节点没有应答"),
    ("unreachable.why", "no node answers there", "该地址没有节点应答"),
    ("usage.unknown", "there is no command {name!r}", "没有命令 {name!r}"),
    ("usage.near", "did you mean {name!r}?", "您是否想用 {name!r}？"),
    ("config.bad", "{path} has {count} problem(s)", "{path} 有 {count} 个问题"),
    ("config.good", "{path} is valid", "{path} 有效"),
    ("config.none", "no configuration", "没有配置"),
    (
        "config.none.why",
        "there is no hnode.toml in this folder, and neither --config nor HNODE_CONFIG names one",
        "当前目录没有 hnode.toml，也没有用 --config 或 HNODE_CONFIG 指定",
    ),
    ("help.hnode", "An identifier resolution node.", "标识解析节点。"),
    ("help.init", "Make a node: configuration, key, store, prefixes.", "新建节点：配置、密钥、存储、前缀。"),
    ("help.serve", "Run the node in the foreground.", "在前台运行节点。"),
    ("help.dev", "Run a throw-away node with sample data.", "运行带示例数据的临时节点。"),
    ("help.demo", "Tell the story of a node, on real data.", "用真实数据演示节点的全过程。"),
    ("help.playground", "Run a whole hierarchy of nodes to try things on.", "运行一整套层级节点供试验。"),
    ("help.resolve", "Ask for the values of a handle.", "解析标识。"),
    ("help.handle", "Create, read, change and delete handles.", "新建、读取、修改和删除标识。"),
    ("help.prefix", "List, home and unhome prefixes.", "列出、托管和取消托管前缀。"),
    ("help.upstream", "The root above, and the parent's delegation.", "上级：根信息与上级节点的委托。"),
    ("help.session", "Try a session with a server.", "试建与服务器的会话。"),
    ("help.batch", "Run a batch file against a server.", "对服务器执行批处理文件。"),
    ("help.import", "Load handles from JSONL or CSV.", "从 JSONL 或 CSV 导入标识。"),
    ("help.export", "Write handles as JSONL or CSV.", "导出标识为 JSONL 或 CSV。"),
    ("help.config", "Check and show the configuration.", "检查和显示配置。"),
    ("help.cache", "What is remembered of other nodes' answers.", "查看和清除对其他节点应答的缓存。"),
    ("help.doctor", "Find what is wrong, and what mends it.", "诊断问题并给出修复方法。"),
    ("help.status", "Ask the running node how it is.", "查询运行中节点的状态。"),
    ("help.key", "Make, show and convert keys.", "生成、查看和转换密钥。"),
    ("help.store", "Look into the store, and verify it.", "查看和校验存储。"),
    ("help.version", "Versions of the program and what it stands on.", "程序及其组件的版本。"),
    ("help.completion", "Print a completion script for a shell.", "输出 shell 补全脚本。"),
    ("help.example", "Example:", "示例："),
    ("init.config", "configuration", "配置"),
    ("init.config.hint", "(edit, then: hnode config check)", "（修改后运行：hnode config check）"),
    ("init.store", "store", "存储"),
    ("init.store.facts", "(LMDB, {map} map, {records} identifiers)", "（LMDB，映射 {map}，{records} 个标识）"),
    ("init.key", "server key", "服务器密钥"),
    ("init.prefix", "prefix", "前缀"),
    ("init.prefix.new", "{prefix} homed here", "{prefix} 已托管"),
    ("init.admin", "admin", "管理员"),
    ("init.root", "root's key", "根密钥"),
    ("init.root.hint", "(301:0.0/0.0; keep a copy off this machine)", "（301:0.0/0.0；请在其他机器上备份）"),
    ("init.kept", "(kept)", "（保留）"),
    ("init.next", "Next:", "下一步："),
    (
        "init.no_prefix",
        "  no prefix is homed yet: hnode init {folder} --prefix PREFIX",
        "  尚未托管任何前缀：hnode init {folder} --prefix 前缀",
    ),
    ("upstream.enrolled", "enrolled", "已登记"),
    ("upstream.updated", "brought up to date", "已更新"),
    ("upstream.already", "already so", "无需更改"),
    ("upstream.told", "also told: {place}", "另有：{place}"),
    ("upstream.gone", "no longer told: {place}", "不再包含：{place}"),
    (
        "upstream.untried",
        "nothing was written: neither the identity nor its key was tried",
        "没有写入任何内容：身份及其密钥未经验证",
    ),
    (
        "upstream.differs",
        "{what}: the parent tells {there}, this node is {here}",
        "{what}：上级记录为 {there}，本节点为 {here}",
    ),
    (
        "upstream.outdated",
        "the configuration describes another site than this node tells",
        "配置描述的站点与本节点现在公布的不同",
    ),
    (
        "upstream.later",
        "{what}: this node tells {there}, the configuration says {here}",
        "{what}：本节点公布 {there}，配置为 {here}",
    ),
    ("upstream.count", "{count} delegated as this node is, {bad} not", "{count} 个委托与本节点一致，{bad} 个不一致"),
    (
        "upstream.mend",
        "mend it: hnode upstream enrol (with --out DIR for the parent's administrator)",
        "修复：hnode upstream enrol （为上级管理员生成文件请用 --out DIR）",
    ),
    (
        "upstream.restart",
        "mend it: restart the node, then: hnode upstream enrol",
        "修复：先重启节点，再运行：hnode upstream enrol",
    ),
    (
        "upstream.unheld",
        "the parent's answers were not held against a key: --server-key FILE, or [upstream] parent_site",
        "未用密钥核对上级的应答：--server-key FILE，或 [upstream] parent_site",
    ),
    ("delegate.done", "delegated {name} to {source}", "已将 {name} 委托给 {source}"),
    ("delegate.already", "already so: {name} to {source}", "无需更改：{name} 已委托给 {source}"),
    (
        "delegate.unhomed",
        "{at} does not keep {prefix} yet; on that node: hnode prefix home {prefix}",
        "{at} 尚未托管 {prefix}；on that node: hnode prefix home {prefix}",
    ),
    ("doctor.ok", "OK", "正常"),
    ("doctor.warn", "WARN", "警告"),
    ("doctor.fail", "FAIL", "失败"),
    ("doctor.mend", "mend:", "修复："),
    ("doctor.good", "all {count} checks are fine", "全部 {count} 项检查正常"),
    (
        "doctor.bad",
        "{count} checks: {fail} failed, {warn} warned",
        "{count} 项检查：{fail} 项失败，{warn} 项警告",
    ),
    ("doctor.config", "configuration", "配置"),
    ("doctor.key", "server key", "服务器密钥"),
    ("doctor.store", "store", "存储"),
    ("doctor.disk", "disk and map", "磁盘与映射"),
    ("doctor.files", "open files", "打开文件数"),
    ("doctor.buffer", "UDP receive buffer", "UDP 接收缓冲区"),
    ("doctor.ports", "ports", "端口"),
    ("doctor.tls", "TLS certificate", "TLS 证书"),
    ("doctor.recursion", "recursion", "递归解析"),
    ("doctor.prefixes", "prefixes", "前缀"),
    ("doctor.clock", "clock", "时钟"),
)
TEXTS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType({key: (en, zh) for key, en, zh in _ROWS})
assert len(TEXTS) == len(_ROWS), "one key stands in two rows"


def text(key: str, lang: str, **fields: object) -> str:
    """The text of a key in the language (`en` for any but `zh`), its fields filled in."""
    english, chinese = TEXTS[key]
    return (chinese if lang == "zh" else english).format(**fields)


def language(wanted: str | None, environment: Mapping[str, str]) -> str | None:
    """The language that was asked for by option or by the locale, or None where neither says Chinese or English."""
    if wanted:
        return wanted
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        locale = environment.get(name, "")
        if locale:
            return "zh" if locale.lower().startswith("zh") else None
    return None
