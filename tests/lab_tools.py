"""Honest tool rows for the mutation lab: a request, calls that really run, and an answer written from their results."""

import os
from pathlib import Path

from synthgen_nb.specs.trajectory import Call, Ref, Trajectory, Turn
from synthgen_nb.worlds.open import open_world
from synthgen_nb.worlds.world import execute_trajectory

DATA = Path(os.environ.get("SYNTHGEN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SPEC = DATA / "specs/readme/3.0-petstore.json"


def L(xs, word="and"):
    xs = [str(x) for x in xs]
    return xs[0] if len(xs) == 1 else ", ".join(xs[:-1]) + f" {word} {xs[-1]}"


def row(world, text, calls, answer, initial=None):
    return dict(world=world, text=text, calls=calls, answer=answer, initial=initial)


R = lambda param, call, path: Ref(param=param, call=f"call_{call}", path=path)
H, rows = "hdf5", []


def h(text, calls, answer):
    rows.append(row(H, text, calls, answer))


W = "weather.h5"
for st, se in [("oslo", "temperature"), ("bergen", "wind_speed"), ("tromso", "precipitation"), ("bergen", "temperature")]:
    p = f"/stations/{st}/{se}"
    h(
        f"What are the smallest and the largest value of {p} in {W}?",
        [("dataset_statistics", dict(file=W, path=p))],
        lambda r: f"The smallest value is {r[0]['min']} and the largest is {r[0]['max']}.",
    )
    h(
        f"Give me the mean and the standard deviation of {p} in {W}, and the unit of its values.",
        [("dataset_statistics", dict(file=W, path=p)), ("read_attribute", dict(file=W, path=p, name="units"))],
        lambda r: f"The mean is {r[0]['mean']} {r[1]['value']} and the standard deviation is {r[0]['std']} {r[1]['value']}.",
    )
    h(
        f"In {W}, which value is stored at index 12 of {p}?",
        [("read_element", dict(file=W, path=p, index=[12]))],
        lambda r: f"The value at index 12 is {r[0]['value']}.",
    )
    h(
        f"Where does the largest value of {p} in {W} stand, and how large is it?",
        [("find_extreme", dict(file=W, path=p, which="max"))],
        lambda r: f"The largest value is {r[0]['value']}. It stands at index {r[0]['index'][0]}.",
    )
    h(f"Read the first 4 values of {p} in {W}.", [("read_head", dict(file=W, path=p, n=4))], lambda r: f"The first 4 values are {L(r[0]['values'])}.")
    h(
        f"How many values of {p} in {W} are below 3, and how many values are there in all?",
        [("count_where", dict(file=W, path=p, op="<", value=3))],
        lambda r: f"{r[0]['count']} of the {r[0]['of']} values are below 3.",
    )
    h(
        f"How is {p} in {W} compressed and how is it cut into chunks?",
        [("get_filters", dict(file=W, path=p)), ("get_chunks", dict(file=W, path=p))],
        lambda r, p=p: (
            f"{p} is compressed with {r[0]['compression']} at level {r[0]['level']}. It is cut into {r[1]['count']} chunks of {r[1]['chunks'][0]} values."
        ),
    )
    h(
        f"Show me the distribution of {p} in {W} over 4 equal intervals.",
        [("histogram", dict(file=W, path=p, bins=4))],
        lambda r: f"The counts of the 4 intervals are {L(r[0]['counts'])}, between {r[0]['edges'][0]} and {r[0]['edges'][-1]}.",
    )
for a, b, what in [("oslo", "bergen", "temperature"), ("bergen", "tromso", "wind_speed"), ("oslo", "tromso", "precipitation")]:
    pa, pb = f"/stations/{a}/{what}", f"/stations/{b}/{what}"
    h(
        f"How strongly are {pa} and {pb} in {W} correlated, and are they identical?",
        [("correlate_datasets", dict(file=W, first=pa, second=pb)), ("compare_datasets", dict(file=W, first=pa, second=pb))],
        lambda r: f"Their correlation is {r[0]['correlation']}. They are not identical; the largest difference is {r[1]['largest_difference']}.",
    )
    h(
        f"Which of {pa} and {pb} in {W} has the larger mean?",
        [("dataset_statistics", dict(file=W, path=pa)), ("dataset_statistics", dict(file=W, path=pb))],
        lambda r, pa=pa, pb=pb: (
            f"{pa if r[0]['mean'] > r[1]['mean'] else pb} has the larger mean: the mean of {pa} is {r[0]['mean']} and that of {pb} is {r[1]['mean']}."
        ),
    )
    h(
        f"What is the largest value of {pa} in {W}, and what is the smallest of {pb}?",
        [("find_extreme", dict(file=W, path=pa, which="max")), ("find_extreme", dict(file=W, path=pb, which="min"))],
        lambda r, pa=pa, pb=pb: f"The largest value of {pa} is {r[0]['value']}. The smallest value of {pb} is {r[1]['value']}.",
    )
for unit in ("mm", "degC", "m/s"):
    h(
        f"Which datasets in {W} have the unit {unit}?",
        [("find_by_attribute", dict(file=W, name="units", value=unit))],
        lambda r, unit=unit: f"These datasets have the unit {unit}:\n\n" + "\n".join(f"- {x}" for x in r[0]["paths"]),
    )
    for i, word in enumerate(["first", "second", "third"]):
        h(
            f"Of the datasets in {W} whose units are {unit}, take the {word} one. What is its mean, and how many chunks of it are stored?",
            [
                ("find_by_attribute", dict(file=W, name="units", value=unit)),
                ("dataset_statistics", dict(file=W), [R("/path", 1, f"/paths/{i}")]),
                ("get_chunks", dict(file=W), [R("/path", 1, f"/paths/{i}")]),
            ],
            lambda r, i=i, word=word: f"The {word} dataset is {r[0]['paths'][i]}. Its mean is {r[1]['mean']}, and {r[2]['count']} of its chunks are stored.",
        )
for f in ("images.h5", "simulation.h5", "variants.h5", "weather.h5"):
    h(
        f"How large is {f}, and how many groups and datasets does it hold?",
        [("file_info", dict(file=f))],
        lambda r, f=f: f"{f} has {r[0]['bytes']} bytes. It holds {r[0]['groups']} groups and {r[0]['datasets']} datasets.",
    )
    h(
        f"Which groups and datasets are there in {f}? List all paths.",
        [("find_objects", dict(file=f))],
        lambda r, f=f: f"{f} holds these paths: {L(r[0]['paths'])}.",
    )
    h(
        f"What stands at the top of {f}?",
        [("list_keys", dict(file=f))],
        lambda r, f=f: (
            f"At the top of {f} there {'are the groups' if len(r[0]['groups']) > 1 else 'is the group'} {L(r[0]['groups'])}"
            + (f" and the dataset {L(r[0]['datasets'])}." if r[0]["datasets"] else ".")
        ),
    )
h("Which files are at hand?", [("list_files", {})], lambda r: f"There are {len(r[0]['files'])} files: {L(r[0]['files'])}.")
S = "simulation.h5"
for how, word in [("mean", "mean"), ("max", "maximum"), ("sum", "sum")]:
    h(
        f"What is the {word} of /particles/position in {S} along its first axis, and how many values does it hold?",
        [("reduce_axis", dict(file=S, path="/particles/position", axis=0, how=how)), ("get_shape", dict(file=S, path="/particles/position"))],
        lambda r, word=word: f"The {word} along the first axis is {L(r[0]['values'])}. /particles/position holds {r[1]['size']} values.",
    )
for name in ("density", "pressure", "velocity"):
    p = f"/fields/{name}"
    h(
        f"What shape and type does {p} in {S} have?",
        [("get_info", dict(file=S, path=p))],
        lambda r, p=p: f"{p} has the shape {r[0]['shape']} and the type {r[0]['dtype']}.",
    )
    h(
        f"How many bytes do the values of {p} in {S} take in memory and in the file?",
        [("get_storage", dict(file=S, path=p))],
        lambda r, p=p: f"The values take {r[0]['bytes']} bytes in memory and {r[0]['stored_bytes']} bytes in the file.",
    )
    h(
        f"Which attributes does {p} in {S} have, and what are its units?",
        [("list_attributes", dict(file=S, path=p)), ("read_attribute", dict(file=S, path=p, name="units"))],
        lambda r, p=p: f"It has the attributes {L(r[0]['names'])}. Its units are {r[1]['value']}.",
    )
    h(
        f"How is {p} in {S} chunked, and does it have a checksum?",
        [("get_chunks", dict(file=S, path=p)), ("get_filters", dict(file=S, path=p))],
        lambda r, p=p: (
            f"Its chunks have the shape {r[0]['chunks']}, and {r[0]['count']} of them are stored. "
            f"It {'has' if r[1]['checksum'] else 'does not have'} a checksum."
        ),
    )
h(
    f"By how much do /fields/density and /fields/pressure in {S} differ at most?",
    [("compare_datasets", dict(file=S, first="/fields/density", second="/fields/pressure"))],
    lambda r: f"They differ by at most {r[0]['largest_difference']}.",
)
h(
    f"What is the range of /particles/mass in {S}, that is the largest value minus the smallest?",
    [("dataset_statistics", dict(file=S, path="/particles/mass"))],
    lambda r: f"The largest value is {r[0]['max']} and the smallest is {r[0]['min']}, so the range is {round(r[0]['max'] - r[0]['min'], 5)}.",
)
V = "variants.h5"
h(f"Which columns does /chr7/variants in {V} have?", [("get_dtype", dict(file=V, path="/chr7/variants"))], lambda r: f"The columns are {L(r[0]['fields'])}.")
h(
    f"Read the first 5 values of the column quality of /chr7/variants in {V}.",
    [("read_column", dict(file=V, path="/chr7/variants", column="quality", n=5))],
    lambda r: f"The first 5 values of quality are {L(r[0]['values'])}.",
)
h(
    f"Read the first 3 positions of /chr7/variants in {V}.",
    [("read_column", dict(file=V, path="/chr7/variants", column="position", n=3))],
    lambda r: f"The first 3 positions are {L(r[0]['values'])}.",
)
h(
    f"What is the total coverage of the first 4 places of /chr7/coverage in {V}?",
    [("read_head", dict(file=V, path="/chr7/coverage", n=4))],
    lambda r: f"The first 4 values are {L(r[0]['values'])}, which makes {sum(r[0]['values'])} in all.",
)
h(
    f"Can /chr7/depth_log in {V} grow, and how many values does it hold now?",
    [("get_chunks", dict(file=V, path="/chr7/depth_log")), ("get_shape", dict(file=V, path="/chr7/depth_log"))],
    lambda r: f"Yes, it can grow without a limit. It holds {r[1]['size']} values now.",
)
h(
    f"How many values of /chr7/coverage in {V} are greater than 35? What share is that?",
    [("count_where", dict(file=V, path="/chr7/coverage", op=">", value=35))],
    lambda r: f"{r[0]['count']} of {r[0]['of']} values are greater than 35, that is {100 * r[0]['count'] / r[0]['of']:.1f} %.",
)
I = "images.h5"
h(
    f"Where does the link /latest in {I} lead?",
    [("resolve_link", dict(file=I, path="/latest"))],
    lambda r: f"/latest is a {r[0]['kind']} link to {r[0]['target']}.",
)
h(f"Which class names are stored in {I}?", [("read_dataset", dict(file=I, path="/meta/class_names"))], lambda r: f"The class names are {L(r[0]['values'])}.")
h(
    f"Who was the operator of {I} and which instrument was used?",
    [("read_dataset", dict(file=I, path="/meta/operator")), ("read_attribute", dict(file=I, path="/", name="instrument"))],
    lambda r: f"The operator was {r[0]['values']}. The instrument was {r[1]['value']}.",
)
h(
    f"How large is a pixel in {I}, in nm, and at which magnification were the images taken?",
    [("read_attribute", dict(file=I, path="/data/images", name="pixel_size_nm")), ("read_attribute", dict(file=I, path="/", name="magnification"))],
    lambda r: f"A pixel is {r[0]['value']} nm large, and the magnification is {r[1]['value']}.",
)
for st in ("oslo", "bergen", "tromso"):
    h(
        f"What are the station id, the latitude and the elevation of {st} in {W}?",
        [("read_attribute", dict(file=W, path=f"/stations/{st}", name=n)) for n in ("station_id", "latitude", "elevation_m")],
        lambda r: f"- station id: {r[0]['value']}\n- latitude: {r[1]['value']}\n- elevation: {r[2]['value']} m",
    )
    h(
        f"Open {W} for writing and create the group /derived/{st}.",
        [("open_file", dict(file=W, mode="a")), ("create_group", dict(file=W, path=f"/derived/{st}"))],
        lambda r, st=st: f"I opened {W} with mode a and created the group /derived/{st}.",
    )
    h(
        f"Open {W} for changes, store the values 1.5, 2.5 and 4 as /derived/{st}, and tell me the mean of the new dataset.",
        [
            ("open_file", dict(file=W, mode="a")),
            ("create_dataset", dict(file=W, path=f"/derived/{st}", values=[1.5, 2.5, 4])),
            ("dataset_statistics", dict(file=W), [R("/path", 2, "/path")]),
        ],
        lambda r, st=st: f"I created /derived/{st} with 3 values in {W}. Its mean is {r[2]['mean']}.",
    )


def b(cls, text, calls, answer, initial=None):
    rows.append(row(f"bfcl:{cls}", text, calls, answer, initial))


M = "MathAPI"
for ns in ([3, 5, 10, 14], [12, 7, 9]):
    b(
        M,
        f"What are the mean and the standard deviation of {L(ns)}?",
        [("mean", dict(numbers=ns)), ("standard_deviation", dict(numbers=ns))],
        lambda r: f"The mean is {r[0]['result']} and the standard deviation is {r[1]['result']:.4f}.",
    )
    b(
        M,
        f"Which is the largest and which the smallest of {L(ns)}?",
        [("max_value", dict(numbers=ns)), ("min_value", dict(numbers=ns))],
        lambda r: f"The largest is {r[0]['result']} and the smallest is {r[1]['result']}.",
    )
for x, u, v in [(5, "km", "m"), (25, "km", "m")]:
    b(
        M,
        f"Convert {x} {u} to {v}.",
        [("si_unit_conversion", dict(value=x, unit_in=u, unit_out=v))],
        lambda r, x=x, u=u, v=v: f"{x} {u} are {r[0]['result']} {v}.",
    )
b(M, "What percentage of 50 is 20?", [("percentage", dict(part=20, whole=50))], lambda r: f"20 is {r[0]['result']} % of 50.")
b(
    M,
    "What is 7 to the power of 4, and what is the square root of 1764?",
    [("power", dict(base=7, exponent=4)), ("square_root", dict(number=1764, precision=4))],
    lambda r: f"7 to the power of 4 is {r[0]['result']}, and the square root of 1764 is {r[1]['result']}.",
)
V2 = "VehicleControlAPI"
CAR = dict(
    VehicleControlAPI=dict(
        fuelLevel=10.5,
        batteryVoltage=12.6,
        engineState="stopped",
        parkingBrakeStatus="released",
        brakePedalStatus="released",
        brakePedalForce=0.0,
        doorStatus=dict(driver="unlocked", passenger="locked", rear_left="locked", rear_right="unlocked"),
        frontLeftTirePressure=32.0,
        frontRightTirePressure=31.0,
        rearLeftTirePressure=30.0,
        rearRightTirePressure=28.5,
    )
)
b(
    V2,
    "What is the pressure of the four tires?",
    [("check_tire_pressure", {})],
    lambda r: (
        f"The front left tire has {r[0]['frontLeftTirePressure']}, the front right {r[0]['frontRightTirePressure']}, "
        f"the rear left {r[0]['rearLeftTirePressure']} and the rear right {r[0]['rearRightTirePressure']}."
    ),
    CAR,
)
b(
    V2,
    "How much fuel is left, and how many liters are that?",
    [("displayCarStatus", dict(option="fuel")), ("gallon_to_liter", {}, [R("/gallon", 1, "/fuelLevel")])],
    lambda r: f"There are {r[0]['fuelLevel']} gallons left, which are {round(r[1]['liter'], 2)} liters.",
    CAR,
)
b(
    V2,
    "Which doors are unlocked?",
    [("displayCarStatus", dict(option="doors"))],
    lambda r: f"These doors are unlocked: {L([k.replace('_', ' ') for k, v in r[0]['doorStatus'].items() if v == 'unlocked'])}.",
    CAR,
)
for a, z in [("Rivermist", "Stonebrook"), ("San Francisco", "Rivermist")]:
    b(
        V2,
        f"How far is it from {a} to {z}?",
        [
            ("get_zipcode_based_on_city", dict(city=a)),
            ("get_zipcode_based_on_city", dict(city=z)),
            ("estimate_distance", {}, [R("/cityA", 1, "/zipcode"), R("/cityB", 2, "/zipcode")]),
        ],
        lambda r, a=a, z=z: f"From {a} (zip code {r[0]['zipcode']}) to {z} (zip code {r[1]['zipcode']}) it is {r[2]['distance']} km.",
        CAR,
    )
for n in (10, 25):
    b(V2, f"How many liters are {n} gallons?", [("gallon_to_liter", dict(gallon=n))], lambda r, n=n: f"{n} gallons are {r[0]['liter']} liters.", CAR)
T = "TradingBot"
for s in ("AAPL", "NVDA", "GOOG", "TSLA"):
    b(
        T,
        f"What are the price and the trading volume of {s}?",
        [("get_stock_info", dict(symbol=s))],
        lambda r, s=s: f"{s} stands at {r[0]['price']}, and its volume is {r[0]['volume']}.",
    )
for a, z in [("AAPL", "NVDA"), ("MSFT", "GOOG")]:
    b(
        T,
        f"Which costs more, {a} or {z}, and by how much?",
        [("get_stock_info", dict(symbol=a)), ("get_stock_info", dict(symbol=z))],
        lambda r, a=a, z=z: (
            f"{a} costs {r[0]['price']} and {z} costs {r[1]['price']}, so {a if r[0]['price'] > r[1]['price'] else z} costs more, "
            f"by {abs(round(r[0]['price'] - r[1]['price'], 2))}."
        ),
    )
b(
    T,
    "Which stocks of the sector Technology are available?",
    [("get_available_stocks", dict(sector="Technology"))],
    lambda r: f"The available stocks are {L(r[0]['stock_list'])}.",
)
for i, word in enumerate(["first", "second", "third"]):
    b(
        T,
        f"List the available stocks of the sector Technology, and tell me the price of the {word} one.",
        [("get_available_stocks", dict(sector="Technology")), ("get_stock_info", {}, [R("/symbol", 1, f"/stock_list/{i}")])],
        lambda r, i=i, word=word: f"The stocks are {L(r[0]['stock_list'])}. The price of the {word} one, {r[0]['stock_list'][i]}, is {r[1]['price']}.",
    )
A = "TravelAPI"
for a, z in [("SFO", "LAX"), ("LAX", "JFK")]:
    b(
        A,
        f"What does an economy flight from {a} to {z} on 2024-11-16 cost?",
        [("get_flight_cost", dict(travel_from=a, travel_to=z, travel_date="2024-11-16", travel_class="economy"))],
        lambda r: f"It costs {r[0]['travel_cost_list'][0]}.",
    )
for c in ("Rivermist", "Stonebrook"):
    b(
        A,
        f"Which airport is nearest to {c}?",
        [("get_nearest_airport_by_city", dict(location=c))],
        lambda r, c=c: f"The airport nearest to {c} is {r[0]['nearest_airport']}.",
    )
b(
    A,
    "How much are 100 USD in EUR?",
    [("compute_exchange_rate", dict(base_currency="USD", target_currency="EUR", value=100))],
    lambda r: f"100 USD are {r[0]['exchanged_value']} EUR.",
)
G = "GorillaFileSystem"
FS = dict(
    GorillaFileSystem=dict(
        root=dict(
            mia=dict(
                type="directory",
                contents={
                    "notes.txt": dict(type="file", content="buy milk\ncall the harbour\nread the log\nwrite to Kari"),
                    "log.txt": dict(type="file", content="ok\nerror 17\nok\nerror 42\nok"),
                    "plans": dict(
                        type="directory", contents={"may.txt": dict(type="file", content="sail"), "june.txt": dict(type="file", content="paint the boat")}
                    ),
                    ".secret": dict(type="file", content="x"),
                },
            )
        )
    )
)
b(G, "Which files and folders are here, hidden ones too?", [("ls", dict(a=True))], lambda r: f"There are {L(r[0]['current_directory_content'])}.", FS)
for f in ("notes.txt", "log.txt"):
    b(
        G,
        f"How many lines and how many words has {f}?",
        [("wc", dict(file_name=f, mode="l")), ("wc", dict(file_name=f, mode="w"))],
        lambda r, f=f: f"{f} has {r[0]['count']} lines and {r[1]['count']} words.",
        FS,
    )
    b(G, f"Show me what {f} says.", [("cat", dict(file_name=f))], lambda r, f=f: f"{f} says:\n\n```\n{r[0]['file_content']}\n```", FS)
b(
    G,
    "Which lines of log.txt contain the word error?",
    [("grep", dict(file_name="log.txt", pattern="error"))],
    lambda r: "These lines contain it:\n\n" + "\n".join(f"- {x}" for x in r[0]["matching_lines"]),
    FS,
)
b(
    G,
    "Go into plans and list what is there.",
    [("cd", dict(folder="plans")), ("ls", {})],
    lambda r: f"I went into plans. There are {L(r[1]['current_directory_content'])}.",
    FS,
)
b(
    G,
    "Where am I, and how much room do the files take?",
    [("pwd", {}), ("du", dict(human_readable=True))],
    lambda r: f"You are in {r[0]['current_working_directory']}. The files take {r[1]['disk_usage']}.",
    FS,
)
P = f"synthetic:{SPEC}"


def o(text, calls, answer):
    rows.append(row(P, text, calls, answer))


for n in (8701, 8702, 8703):  # as the stand-in numbers its pets
    o(
        f"What is the name of pet {n}, and what is its status?",
        [("getPetById", dict(petId=n))],
        lambda r, n=n: f"Pet {n} is called {r[0]['name']}. Its status is {r[0]['status']}.",
    )
    o(
        f"To which category does pet {n} belong, and which tags does it have?",
        [("getPetById", dict(petId=n))],
        lambda r, n=n: f"Pet {n} belongs to the category {r[0]['category']['name']}. Its tags are {L([t['name'] for t in r[0]['tags']])}.",
    )
for n in (1, 2, 3):
    o(
        f"How many pets does order {n} hold, and which pet is ordered?",
        [("getOrderById", dict(orderId=n))],
        lambda r, n=n: f"Order {n} holds {r[0]['quantity']} of pet {r[0]['petId']}.",
    )
    o(
        f"Look up order {n}. What is the status of the pet it orders?",
        [("getOrderById", dict(orderId=n)), ("getPetById", {}, [R("/petId", 1, "/petId")])],
        lambda r, n=n: f"Order {n} is for pet {r[0]['petId']}, whose status is {r[1]['status']}.",
    )
o("How many pets of each kind are in the inventory?", [("getInventory", {})], lambda r: "The inventory holds " + L([f"{v} {k}" for k, v in r[0].items()]) + ".")
for st in ("pending", "sold"):
    o(
        f"Which pets have the status {st}? Give their ids.",
        [("findPetsByStatus", dict(status=[st]))],
        lambda r, st=st: f"The pets with the status {st} have the ids {L([p['id'] for p in r[0]])}." if r[0] else f"No pet has the status {st}.",
    )


def trajectory(d, results=None):
    turns = [Turn(role="user", text=d["text"])]
    for i, (tool, args, *refs) in enumerate(d["calls"], 1):
        turns.append(Turn(role="assistant", calls=(Call(id=f"call_{i}", tool=tool, arguments=args, refs=tuple(refs[0]) if refs else ()),)))
    names = tuple(dict.fromkeys(c[0] for c in d["calls"]))
    return Trajectory(turns=tuple(turns), tools=names, world=d["world"], initial=d["initial"])


async def honest(name: str):
    "The rows of the worlds whose name begins so, executed and answered"
    out = []
    for d in rows:
        if not d["world"].startswith(name):
            continue
        async with open_world(d["world"]) as w:
            t = await execute_trajectory(w, trajectory(d))
        assert all(ob.ok for ob in t.observations), (d["text"], t.observations)
        end = Turn(role="assistant", text=d["answer"]([ob.content for ob in t.observations]))
        out.append(t.but(turns=(*t.turns, end), parents=()))
    return out
