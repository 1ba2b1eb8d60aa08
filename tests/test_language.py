# ruff: noqa: E501
"""Pairs in the language of their document, from eight languages and seven scripts."""

import asyncio

import pytest

from synthgen_nb.core.claims import claims
from synthgen_nb.core.evidence import ground, looked_at
from synthgen_nb.core.facts import number_facts
from synthgen_nb.core.language import language_of, other_language
from synthgen_nb.core.models import Answer, open_model
from synthgen_nb.core.records import Chunk, Pair
from synthgen_nb.core.settings import Settings
from synthgen_nb.core.words import words
from synthgen_nb.corpus.search import search
from synthgen_nb.corpus.store import ingest, read_chunks
from synthgen_nb.qa import grounded
from synthgen_nb.select.dedup import normal_form

# language, script: document; word to search for; honest answers; false ones
PAGES = {
    "fr": ("Latin", "# Réglage\n\nLe délai par défaut est de 30 secondes, avec 1 024,5 ms de marge. Après trois échecs, le fichier est fermé. La clé n'est pas relue au démarrage. Le taux vaut 3,5 %.",
           "délai", ["Le délai par défaut vaut 30 secondes.", "Le taux est de 3,5 %."],
           ["Le délai par défaut est de 40 secondes.", "La clé est relue au démarrage.", "Le taux vaut 3,6 %.", "Le délai par défaut est de 30 minutes."]),
    "de": ("Latin", "# Messung\n\nDie Messung läuft alle 10 Sekunden. Ist der Wert höher als 1.024,50 bar, schließt das Ventil. Der Speicher wird nicht gelöscht.",
           "Ventil", ["Das Ventil schließt, wenn der Wert höher als 1.024,50 bar ist."],
           ["Die Messung läuft alle 12 Sekunden.", "Der Speicher wird gelöscht.", "Ist der Wert höher als 1.024,50 bar, öffnet das Ventil."]),
    "sv": ("Latin", "# Mätning\n\nMätningen görs var 10 sekund. Om värdet är högre än gränsen stängs ventilen. Åtgärden får inte avbrytas.",
           "ventilen", ["Ventilen stängs om värdet är högre än gränsen."],
           ["Mätningen görs var 20 sekund.", "Åtgärden får avbrytas.", "Om värdet är lägre än gränsen stängs ventilen."]),
    "ru": ("Cyrillic", "# Кэш\n\nВремя ожидания по умолчанию составляет 30 секунд. Если память заполнена, самые старые записи удаляются. Изменение не действует до перезапуска.",
           "память", ["По умолчанию время ожидания — 30 секунд."],
           ["Время ожидания по умолчанию составляет 60 секунд.", "Изменение действует до перезапуска.", "Время ожидания по умолчанию составляет 30 минут."]),
    "ar": ("Arabic", "# الذاكرة\n\nمهلة الانتظار الافتراضية ٣٠ ثانية. إذا امتلأت الذاكرة تحذف أقدم السجلات. لا يسري التغيير إلا بعد إعادة التشغيل.",
           "ذاكرة", ["مهلة الانتظار الافتراضية هي 30 ثانية."], ["مهلة الانتظار الافتراضية ٦٠ ثانية.", "مهلة الانتظار الافتراضية ٣٠ دقيقة."]),
    "he": ("Hebrew", "# מטמון\n\nזמן ההמתנה הוא 30 שניות. אם הזיכרון מלא, הרשומות הישנות נמחקות. השינוי לא נכנס לתוקף מיד.",
           "המטמון", ["זמן ההמתנה הוא 30 שניות."], ["זמן ההמתנה הוא 40 שניות.", "השינוי נכנס לתוקף מיד."]),
    "zh": ("Han", "# 缓存配置\n\n缓存默认大小为64兆，最多可设置为2048兆。超过上限的值会被拒绝，并返回错误代码17。\n\n## 清理策略\n\n当缓存使用率达到90%时，系统会删除最久未使用的条目，直到使用率降到70%为止。删除操作每30秒执行一次，不会阻塞读取请求。",
           "删除", ["缓存的默认大小是64兆，最多能设为2048兆，超过上限会返回错误代码17。"],
           ["缓存默认大小为32兆。", "最多可设置为1024兆。", "超过上限的值会被拒绝，并返回错误代码18。", "当缓存使用率达到80%时，系统会删除最久未使用的条目。", "删除操作每60秒执行一次。", "删除操作每30秒执行一次，会阻塞读取请求。"]),
    "ja": ("Kana", "# キャッシュ\n\nキャッシュの既定の大きさは64メガバイトです。削除は30秒ごとに実行され、読み取りを妨げません。この設定は既定では無効です。",
           "削除", ["既定の大きさは64メガバイトです。"], ["キャッシュの既定の大きさは32メガバイトです。", "削除は60秒ごとに実行されます。", "削除は30秒ごとに実行され、読み取りを妨げます。"]),
    "ko": ("Hangul", "# 캐시\n\n캐시의 기본 크기는 64 메가바이트입니다. 삭제는 30초마다 실행되고 읽기를 막지 않습니다.",
           "삭제", ["기본 크기는 64 메가바이트입니다."], ["캐시의 기본 크기는 32 메가바이트입니다.", "삭제는 60초마다 실행됩니다."]),
    "hi": ("Devanagari", "# कैश\n\nकैश का डिफ़ॉल्ट आकार 64 मेगाबाइट है। सीमा 2048 से अधिक मान अस्वीकार किए जाते हैं। यह विकल्प चालू नहीं है।",
           "आकार", ["यह विकल्प चालू नहीं है।"], ["कैश का डिफ़ॉल्ट आकार 32 मेगाबाइट है।", "यह विकल्प चालू है।"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for code, page in PAGES.items():
        (folder / f"{code}.md").write_text(page[1], encoding="utf-8")
    at = folder / "db"
    ingest([folder / f"{code}.md" for code in PAGES], at)
    return at


def test_every_chunk_knows_its_language_and_search_finds_words_of_every_script(db):
    for c in read_chunks(db):
        code = c.path[-5:-3]
        assert (c.language, language_of(c.text).script) == (code, PAGES[code][0])
    for code, (_, _, word, *_) in PAGES.items():
        found = search(db, word, 3, "text")
        assert found and found[0].chunk.language == code, word


def test_the_offline_model_writes_in_the_language_and_evidence_bears_it_out(db):
    model, chunks = open_model(Settings()), read_chunks(db)
    made = asyncio.run(grounded.generate(chunks, model, 3))
    proven = asyncio.run(ground(made.kept, model, {c.id: c.text for c in chunks}))
    assert not made.dropped and not proven.dropped
    language = {c.id: c.language for c in chunks}
    assert {language[p.chunk_id] for p in proven.kept} == set(PAGES)
    assert not [p for p in proven.kept if other_language(p.question, language[p.chunk_id])]


@pytest.mark.parametrize("code", PAGES)
def test_evidence_accepts_what_is_said_and_catches_what_is_not(code):
    _, text, _, honest, false = PAGES[code]
    look = lambda a: looked_at(Pair(question="?", answer=a, chunk_id="c"), text)
    assert not [(a, e.objections) for a in honest if (e := look(a)).objections]
    assert not [a for a in false if not look(a).objections]


def test_a_pair_in_another_language_is_dropped_with_that_reason_and_names_and_numbers_are_not():
    c = Chunk(text=PAGES["zh"][1], language="zh")
    p = open_model(Settings()).prompt("qa_text")
    reply = lambda *rows: Answer(value=dict(suitable=True, reason="", pairs=[dict(question=q, answer=a) for q, a in rows]))
    rows = [("How large is the cache by default?", "64兆"), ("缓存默认多大？", "64兆"), ("上限是多少？", "The upper limit is 2048 megabytes."), ("错误代码是什么？", "`17`")]
    out = grounded.pairs_of(c, reply(*rows), p, 9, [], language=grounded.wanted_language(c, "same"))
    assert [x.question for x in out.kept] == ["缓存默认多大？", "错误代码是什么？"]
    assert {d.reason for d in out.dropped} == {"language:en"} and "Chinese" in out.dropped[0].detail
    out = grounded.pairs_of(c, reply(*rows), p, 9, [], language=grounded.wanted_language(c, "en"))
    assert [x.question for x in out.kept] == [rows[0][0]]


def test_the_prompt_asks_for_the_language_and_code_does_not_decide_it():
    p = open_model(Settings()).prompt("qa_text")
    ask = grounded.ask_of(Chunk(text=PAGES["fr"][1], language="fr"), p, 2, [], "a.md", "fr")
    assert "in French" in ask.messages[-1]["content"]
    code = Chunk(text="def f(x):\n    return x + 1\n", kind="code", language="python")
    assert grounded.wanted_language(code, "same") == "" and grounded.wanted_language(code, "fr") == "fr"
    with pytest.raises(ValueError, match="same, or one of"):
        Settings.model_validate(dict(qa=dict(language="klingon")))


@pytest.mark.parametrize("text", ["`cache.max_size`", "64 MB", "Redis Cluster Manager", "Oui.", "--max-size=64"])
def test_what_cannot_be_told_is_not(text):
    assert not other_language(text, "ja") and not other_language(text, "fr")


@pytest.mark.parametrize("text, code", [("Was passiert bei Fehlern?", "de"), ("是的，会。", "zh"), ("What is the default?", "en")])
def test_what_can_be_told_is(text, code):
    assert other_language(text, "fr") == code


def test_numbers_of_every_script_and_custom():
    value = lambda t: [(f.value, f.unit) for f in number_facts(t)]
    assert value("3,5 % sur 1 024 octets, soit 1.024,50") == [(3.5, "%"), (1024, "B"), (1024.5, "")]
    assert value("٣٥٪ و ١٬٠٢٤") == [(35, "%"), (1024, "")] and value("６４兆，错误代码17，90%") == [(64, "MB"), (17, ""), (90, "%")]
    assert value("1,024 and 12,345.67; 4,5,6") == [(1024, ""), (12345.67, ""), (4, ""), (5, ""), (6, "")]
    assert value("1,00,000 and 1'024 Byte, 30 секунд") == [(100000, ""), (1024, "B"), (30, "s")]


def test_sentences_words_and_keys_without_spaces():
    assert len(claims("删除每30秒执行一次。默认关闭。是吗？是的！")) == 4 and len(claims("Le délai est de 30 s. À la fin, rien.")) == 2
    assert len(claims("لا يسري التغيير. هل هذا؟ نعم.")) == 3 and len(claims("यह सीमा है। फिर बंद होती है।")) == 2
    assert words("缓存64兆 कैश है") == ["缓", "存", "64", "兆", "कैश", "है"]
    assert normal_form("缓存 64 兆？") == normal_form("缓存64兆") and normal_form("ما هذا؟") == "ما هذا"
