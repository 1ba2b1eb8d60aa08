"""Where arguments come from, and what an answer says of the results."""

from synthgen_nb.specs.trajectory import Call, Observation, Ref
from synthgen_nb.tools.grounding import sourced, stated
from synthgen_nb.worlds.hdf5 import hdf5_tools

TOOLS = {t.name: t for t in hdf5_tools()}
PATH = "/stations/oslo/temperature"


def test_values_come_from_the_instruction_or_an_earlier_result():
    seen = {"call_1": Observation(call="call_1", status="ok", source="executed", world="w", content={"paths": ["/b", PATH]})}
    call, lost = sourced(Call(id="call_2", tool="get_shape", arguments={"file": "weather.h5", "path": PATH}), TOOLS["get_shape"], "in weather.h5", seen)
    assert call.refs == (Ref(param="/path", call="call_1", path="/paths/1"),) and call.arguments == {"file": "weather.h5"} and not lost
    assert stated(0.86421, "about 0.864") and not stated(0.86421, "about 0.87") and not stated(12, "in 2012")
