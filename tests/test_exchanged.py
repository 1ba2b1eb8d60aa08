"What a careless writer exchanges: each kind of fault is seen in a whole pair, and an honest answer about the same place is not"
import pytest

from synthgen_nb.core.evidence import looked_at
from synthgen_nb.core.exchanged import blocks, bounds, dependence_differs, exchanged, subject_differs
from synthgen_nb.core.records import Pair
from synthgen_nb.core.support import Source

PAGE = """# Boilers

On Linux, the engine is `ENG_L`; on Solaris, it is `ENG_S`. Both the boiler and the pump must be built with oil support. No synchronisation is
required between pumps. The pump picks its speed depending on the pressure of the oil.

Starting with version 2.5.0, pot5 includes the lids of Oven8. In practice this implies at least Oven8 1.10. Before 2.0 the kettle turns every
drop of water into steam. Starting from 2.0, the kettle whistles. Note that `--lid` is required.

The brass lamp must be lit by two people. On the other hand, writing notes to a book can be done alone. Cooking of a whole meal must be done
together. Guests usually leave the house by the garden door.

The following steps are needed:

- Writer fills the tank with fresh water.
- Writer lights the fire below the tank.
- Writer regularly flushes the copper pipe for the readers.
- Reader renews the gauge before each measurement.
- Reader can close the valve whenever it is convenient.

| mode | what it does |
| --- | --- |
| low | Warm, lid must be on |
| top | Warm, melts the pot |
| mid | Cold |
"""
LISTED = "Ovens.\n\n- `lamp`\n  Gives light.\n  - `watt`: how much it takes.\n- `oven`\n  Bakes.\n  - `heat`: how hot it is.\n"


def objections(question, answer, text=PAGE):
    return looked_at(Pair(question=question, answer=answer, chunk_id="c"), text).objections


@pytest.mark.parametrize(
    "question, wrong, right",
    [
        ("Which engine does Solaris take?", "On Solaris the engine is `ENG_L`.", "On Solaris the engine is `ENG_S`."),
        (
            "What needs oil support?",
            "Either the boiler or the pump must be built with oil support.",
            "Both the boiler and the pump must be built with oil support.",
        ),
        ("Do pumps need synchronisation?", "Yes, pumps have to be synchronised.", "No, synchronisation is not required between pumps."),
        (
            "How do speed and pressure go together?",
            "The pressure of the oil depends on the speed that the pump picks.",
            "The speed of the pump depends on the pressure of the oil.",
        ),
        ("Which Oven8 do lids need?", "They need at least Oven8 2.5.0.", "They need at least Oven8 1.10."),
        (
            "What does the kettle do from 2.0 on?",
            "With 2.0 and later the kettle turns every drop of water into steam.",
            "Starting from 2.0, the kettle whistles.",
        ),
        ("Is `--lid` needed?", "No, `--lid` may be left out.", "Yes, `--lid` is required."),
        ("How is the brass lamp lit?", "The brass lamp is lit by two people where possible.", "The brass lamp must be lit by two people."),
        ("How do guests leave the house?", "Guests always leave the house by the garden door.", "Guests usually leave the house by the garden door."),
        ("How are notes written to a book?", "Writing notes to a book must be done together.", "Writing notes to a book can be done alone."),
        ("Who flushes the copper pipe?", "The reader regularly flushes the copper pipe.", "The writer regularly flushes the copper pipe."),
        (
            "When is the fire lit?",
            "The writer lights the fire below the tank first and then fills the tank with fresh water.",
            "The writer fills the tank with fresh water first and then lights the fire below the tank.",
        ),
        (
            "What do the modes `low` and `top` do?",
            "`low` melts the pot, while `top` wants the lid on.",
            "`low` wants the lid on, while `top` melts the pot.",
        ),
    ],
)
def test_a_true_word_at_the_wrong_place_is_seen(question, wrong, right):
    assert objections(question, wrong)
    assert objections(question, right) == []


def test_an_option_of_another_item_is_seen_unless_that_item_is_named():
    ask = "Which options does the `lamp` have?"
    assert "under oven" in exchanged(ask, "The `lamp` has the options `watt` and `heat`.", Source(LISTED, ask))
    assert not exchanged(ask, "The `lamp` has the option `watt`.", Source(LISTED, ask))
    assert not exchanged(ask, "It has `watt`, while `heat` belongs to the `oven`.", Source(LISTED, ask))
    assert blocks("- `a`: x\n- `a`: y\n") == {} and blocks("no list") == {}


def test_the_counterpart_is_no_answer():
    ask = "When can a reader close the valve?"
    assert "asked about the reader" in objections(ask, "Writer lights the fire below the tank.")[-1]
    assert objections(ask, "The reader can close the valve whenever it is convenient.") == []


def test_a_passive_names_both_and_is_left_alone():
    two = Source("- Writers clean the brass desk for all.\n- Readers use the garden.\n")
    assert not subject_differs("The brass desk is cleaned by the writers.", two)


def test_what_decides_and_what_depends_are_one_relation():
    source = "The size of the pot depends on the price of oil."
    assert not dependence_differs("The price of oil determines the size of the pot.", source)
    assert dependence_differs("The size of the pot determines the price of oil.", source)
    assert dict(bounds("2.0 or older, 3.1+")) == {"2.0": "before", "3.1": "since"}
