"""Texts of our own for the mutation lab, with units, options and rules that manuals of file formats lack, and pairs about them."""

OWN = {
    "cooler": """# The Nordlys cooler

The cooler keeps samples at -18 °C. The alarm sounds when the inside is above -12 °C for more than 5 minutes. The compressor draws
450 W at start and 120 W afterwards. The tank holds 2,400 ml of coolant, enough for 90 days. Its log keeps 64MB of readings, one
every 30 s, and the oldest reading is overwritten when the log is full. The door must be closed before the compressor is started.
Samples may be stored for at most 14 days. The display can be read in the dark only if the lamp is on. The service port listens on
8080 and never accepts more than three connections. Firmware 3.2 added remote alarms; firmware before 2.7 cannot be updated over
the network.

| lamp | meaning |
|---|---|
| green | cooling |
| amber | defrosting |
| red | fault |

    coolctl --set-temp -18 --unit C
    coolctl status --watch
""",
    "harbour": """# Harbour crane protocol

A message begins with a header of 16 bytes, followed by a payload of up to 4,096 bytes and a checksum of 4 bytes. A *job* is one lift
from quay to ship. A *shift* is the span of 8 hours in which a crane has one driver. The driver signs on with `sign_on(driver, crane)`,
which returns a token that is valid for 12 hours. `sign_off(token)` ends the shift. A crane without a driver accepts no jobs.
Wind above 22 m/s stops all cranes; between 17 m/s and 22 m/s only loads of less than 10 t are lifted. The status is one of idle,
lifting, turning and stopped. To restart a stopped crane: first, read the wind; second, unlock the brake; third, call
`restart(crane, force=False)`. The retry interval is 250 ms and is doubled after each failure, until it is 8 s. Version 1.4 of the
protocol added encryption with AES; TLS is not supported. Logs are kept for seven years.
""",
    "loom": """# loomdb

loomdb stores threads in pages of 8 KiB. The cache has 128 MB by default; more than 2 GB is refused. A read takes about 3 ms from disk
and 40 µs from the cache. `loom.open(path, readonly=True)` opens a store for reading; without `readonly` the store is locked. Two
processes can read at the same time, but only one can write. A snapshot must be closed before the store is compacted. Compaction
always runs in the background and never blocks readers. Keys are at most 255 bytes long and are compared byte by byte. The command
`loom dump --format json store.loom` writes all threads to standard output; `loom load` reads them back. Backups are made every six
hours. On Windows, paths must not contain a colon. Since release 0.9, checksums are enabled by default; they cost 2 % of the space.

```python
store = loom.open('weave.loom', readonly=True)
for key in store.keys(prefix='a', limit=10):
    print(key, store[key])
store.close()
```
""",
    "zh": """# 采集器

采集器每10秒读取一次数据，默认保留30天。单个文件最大为512兆，超过后会自动分割。网络中断时，数据保存在本地，最多可缓存4吉。
电池可供电72小时，低于15%时系统必须在5分钟之内关机。版本2.3之前不能远程升级。支持的传感器有温度、湿度、气压和风速。
""",
}
OWN_PAIRS = [
    ("cooler", "At which temperature does the cooler keep samples?", "It keeps samples at -18 °C."),
    ("cooler", "When does the alarm sound?", "The alarm sounds when the inside is above -12 °C for more than 5 minutes."),
    ("cooler", "How much power does the compressor draw?", "It draws 450 W at start and 120 W afterwards."),
    ("cooler", "How much coolant does the tank hold, and how long does it last?", "The tank holds 2,400 ml of coolant. That is enough for 90 days."),
    (
        "cooler",
        "How much room does the log have, and what happens when it is full?",
        "The log keeps 64MB of readings. When it is full, the oldest reading is overwritten.",
    ),
    ("cooler", "How often is a reading taken?", "One reading is taken every 30 s."),
    ("cooler", "May the compressor be started with an open door?", "No, the door must be closed before the compressor is started."),
    ("cooler", "How long may samples be stored?", "Samples may be stored for at most 14 days."),
    (
        "cooler",
        "On which port does the service listen, and how many connections does it accept?",
        "It listens on port 8080. It never accepts more than three connections.",
    ),
    ("cooler", "Which firmware added remote alarms?", "Firmware 3.2 added remote alarms."),
    ("cooler", "Can all firmware be updated over the network?", "No, firmware before 2.7 cannot be updated over the network."),
    ("cooler", "What do the lamps mean?", "- green: cooling\n- amber: defrosting\n- red: fault"),
    ("cooler", "How is the temperature set with coolctl?", "```\n$ coolctl --set-temp -18 --unit C\n```"),
    ("harbour", "What are the parts of a message?", "A message has a header of 16 bytes, a payload of up to 4,096 bytes and a checksum of 4 bytes."),
    ("harbour", "What is a job, and what is a shift?", "A job is one lift from quay to ship. A shift is the span of 8 hours in which a crane has one driver."),
    ("harbour", "What does `sign_on` return?", "`sign_on(driver, crane)` returns a token that is valid for 12 hours."),
    ("harbour", "What happens when the wind is above 22 m/s?", "All cranes are stopped."),
    ("harbour", "Which loads are lifted in wind between 17 m/s and 22 m/s?", "Only loads of less than 10 t are lifted."),
    ("harbour", "Which values can the status have?", "The status is idle, lifting, turning or stopped."),
    ("harbour", "How do I restart a stopped crane?", "1. Read the wind.\n2. Unlock the brake.\n3. Call `restart(crane, force=False)`."),
    ("harbour", "How long is the retry interval?", "It is 250 ms at first, is doubled after each failure, and ends at 8 s."),
    ("harbour", "Is TLS supported?", "No, TLS is not supported. Version 1.4 added encryption with AES."),
    ("harbour", "How long are logs kept?", "Logs are kept for seven years."),
    ("loom", "How large are the pages of loomdb?", "They have 8 KiB."),
    ("loom", "How large is the cache by default, and how large may it be?", "The cache has 128 MB by default. More than 2 GB is refused."),
    ("loom", "How long does a read take?", "About 3 ms from disk and 40 µs from the cache."),
    ("loom", "How do I open a store for reading?", "Pass `readonly=True`:\n\n```python\nstore = loom.open('weave.loom', readonly=True)\n```"),
    (
        "loom",
        "How do I print the first ten keys that begin with a?",
        "```python\nstore = loom.open('weave.loom', readonly=True)\nfor key in store.keys(prefix='a', limit=10):\n"
        "    print(key, store[key])\nstore.close()\n```",
    ),
    ("loom", "Can several processes use a store at the same time?", "Two processes can read at the same time, but only one can write."),
    ("loom", "When can a store be compacted?", "A snapshot must be closed before the store is compacted."),
    ("loom", "Does compaction block readers?", "No, it always runs in the background and never blocks readers."),
    ("loom", "How long may keys be?", "Keys are at most 255 bytes long."),
    ("loom", "How are all threads written to standard output as JSON?", "Run `loom dump --format json store.loom`."),
    (
        "loom",
        "Since which release are checksums enabled by default, and what do they cost?",
        "They are enabled by default since release 0.9. They cost 2 % of the space.",
    ),
    ("loom", "What may paths on Windows not contain?", "On Windows, paths must not contain a colon."),
    ("zh", "采集器多久读取一次数据？", "每10秒读取一次数据。"),
    ("zh", "单个文件最大是多少？", "单个文件最大为512兆，超过后会自动分割。"),
    ("zh", "网络中断时怎么办？", "数据保存在本地，最多可缓存4吉。"),
    ("zh", "电池可以用多久？电量低时会怎样？", "电池可供电72小时。低于15%时系统必须在5分钟之内关机。"),
    ("zh", "支持哪些传感器？", "支持温度、湿度、气压和风速。"),
    ("zh", "哪些版本不能远程升级？", "版本2.3之前不能远程升级。"),
]
