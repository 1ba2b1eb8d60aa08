"""What the bytes of a file stand for, what decided it, and what is said about it."""

import gzip
import random

import pytest

from synthgen_nb.core.settings import Corpus
from synthgen_nb.corpus.encoding import Hints, decode, decode_file
from synthgen_nb.corpus.read import read_documents

FR = "Le délai est de 30 secondes; à la fin, le fichier créé où l'on écrit est fermé.\n"
RU = "Если память заполнена, самые старые записи удаляются.\n"
TEXTS = [
    (FR, "latin-1"), (FR, "cp1252"), (FR, "mac_roman"), (FR, "utf-16-le"), (FR, "utf-16-be"), (FR, "utf-32-le"),
    ("La velocità è di 40 MB al secondo, perché più non può.\n", "latin-1"),
    ("Não é possível alterar o número de partições após a criação.\n", "cp1252"),
    ("Mätningen görs var tionde sekund, och först då öppnas ventilen på nytt.\n", "latin-1"),
    ("Die Größe lässt sich ändern; für große Anlagen genügt sie nicht.\n", "cp850"),
    ("¿Qué pasa si la memoria está llena? Mañana envía un correo.\n", "latin-1"),
    ("Jeśli pamięć jest pełna, najstarsze wpisy są usuwane.\n", "cp1250"),
    ("Pokud je paměť plná, nejstarší záznamy se mažou každých deset sekund.\n", "cp1250"),
    (RU, "cp1251"), (RU, "koi8-r"), (RU, "cp866"), (RU, "utf-16-be"),
    ("Αν η μνήμη είναι γεμάτη, οι παλαιότερες εγγραφές διαγράφονται.\n", "iso8859-7"),
    ("Bellek doluysa, en eski kayıtlar silinir; değer değiştirilebilir.\n", "cp1254"),
    ("上限を超える値は拒否され、エラー番号が返されます。\n", "shift_jis"),
    ("上限を超える値は拒否され、エラー番号が返されます。\n", "euc_jp"),
    ("上限を超える値は拒否され、エラー番号が返されます。\n", "iso2022_jp"),
    ("上限を超える値は拒否され、エラー番号が返されます。\n", "utf-16-le"),
    ("超过上限的值会被拒绝，并返回错误代码。\n", "gb18030"),
    ("超過上限的值會被拒絕，並傳回錯誤代碼。\n", "big5"),
    ("상한을 넘는 값은 거부되고 오류 번호가 반환됩니다.\n", "euc_kr"),
]  # fmt: skip


@pytest.mark.parametrize("text, encoding", TEXTS, ids=[e for _, e in TEXTS])
def test_short_texts_are_read_as_written(text, encoding):
    got = decode(text.encode(encoding))
    assert (got.text, got.note) == (text, "")
    assert got.by


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_decides_and_is_no_part_of_the_text(mark):
    got = decode(FR.encode(mark))
    assert got.text == FR and "mark" in got.by


def test_a_guess_that_another_encoding_comes_near_to_is_said_with_its_bytes_and_neighbours_settle_it(tmp_path):
    word = "Plik ą".encode("iso8859-2")
    got = decode(word)
    assert not got.sure and "byte 5, B1" in got.note and "corpus.encoding" in got.note
    long = "Żądanie większe niż dopuszczalne będzie odrzucone, źródło błędu zapisuje się."
    (tmp_path / "a.txt").write_bytes(long.encode("iso8859-2"))
    (tmp_path / "z.txt").write_bytes("Miś ąę".encode("iso8859-2"))
    beside = decode_file(tmp_path / "z.txt")
    assert beside.text == "Miś ąę" and beside.encoding == "iso8859-2"


def test_declarations_are_believed_only_if_the_bytes_agree():
    assert decode(("# -*- coding: koi8-r -*-\n# " + RU).encode("koi8-r")).by == "its declaration (koi8-r)"
    page = '<meta charset="{}">' + FR
    wrong = decode(page.format("utf-8").encode("latin-1"), Hints("html"))
    assert FR in wrong.text and "declares utf-8" in wrong.note
    wrong = decode(page.format("iso-8859-1").encode(), Hints("html"))
    assert FR in wrong.text and "declares iso-8859-1" in wrong.note
    wrong = decode(("# coding: latin-1\n# " + RU).encode("cp1251"))
    assert RU in wrong.text and "declares latin-1" in wrong.note
    assert "declares" not in decode(page.format("koi8-r").encode("latin-1"), Hints("markdown")).note  # a page about declarations


def test_the_setting_is_taken_where_it_fits_and_said_where_it_does_not():
    assert decode("Zażółć gęślą".encode("iso8859-2"), Hints(setting="iso-8859-2")).text == "Zażółć gęślą"
    got = decode(FR.encode("latin-1"), Hints(setting="cp1251"))
    assert got.text == FR and "not in cp1251" in got.note


def test_lines_in_another_encoding_are_read_as_such_and_said():
    got = decode((FR * 3).encode() + FR.encode("latin-1") + FR.encode())
    assert got.text == FR * 5 and "line 4 is not UTF-8" in got.note
    assert decode(b"\xc3\xa9t\xc3\xa9 cr\xe9\xe9 \xe0 o\xc3\xb9").text == "été créé à où"


@pytest.mark.parametrize("through", ["cp1252", "cp1251", "latin-1"])
def test_what_was_encoded_twice_is_undone_where_all_of_it_was(through):
    text = RU if through == "cp1251" else FR.replace("à", "a")
    try:
        broken = text.encode().decode(through)
    except UnicodeDecodeError:
        broken = text.encode().decode(through, "ignore")
    got = decode(broken.encode())
    assert "twice" in got.note
    if through != "cp1251":
        assert got.text == text


def test_a_page_about_such_text_keeps_it():
    page = "Si « été » devient « Ã©tÃ© », le fichier a été lu comme latin-1."
    got = decode(page.encode())
    assert got.text == page and "left as written" in got.note


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n" + bytes(50), gzip.compress(b"abc" * 900, mtime=0), b"abc\0def", bytes(range(1, 255)),
                                  random.Random(1).randbytes(4000).translate(None, bytes(range(32)))])  # fmt: skip
def test_what_is_no_text_is_not_taken_for_text(data):
    with pytest.raises(ValueError):
        decode(data)


def test_a_file_cut_off_in_a_character_says_so():
    assert "middle of a character" in decode(FR.encode("utf-16")[:-1]).note
    assert decode((FR * 9 + "é").encode()[:-1]).text == FR * 9


def test_ingestion_notes_what_is_uncertain_and_keeps_the_document(tmp_path):
    (tmp_path / "a.txt").write_bytes((FR * 3).encode() + FR.encode("latin-1"))
    (tmp_path / "b.html").write_bytes(('<html><head><meta charset="utf-8"></head><body><p>' + FR).encode("latin-1"))
    (tmp_path / "c.txt").write_bytes(FR.encode("latin-1"))
    docs, dropped = read_documents(tmp_path, Corpus())
    assert all("créé" in d.text and d.encoding and d.language == "fr" for d in docs) and len(docs) == 3
    assert [(d.reason, d.record["note"]) for d in dropped] == [("encoding", True)] * 2
