"""ONNX files as the project's own library writes them: python3 make.py > models.json. Needs the package onnx."""

import json

from onnx import TensorProto, helper


def model(graph, **more):
    made = helper.make_model(
        graph,
        producer_name="@kwaai/shard",
        opset_imports=more.pop("opsets", [helper.make_opsetid("", 21)]),
        ir_version=more.pop("ir_version", 10),
    )
    for key, value in more.pop("metadata", {}).items():
        made.metadata_props.add(key=key, value=value)
    return made.SerializeToString(deterministic=True).hex()


def raw(name, data_type, dims, hexadecimal):
    return helper.make_tensor(name, data_type, dims, bytes.fromhex(hexadecimal), raw=True)


def external(name, data_type, dims, location, offset, length):
    tensor = TensorProto(name=name, data_type=data_type, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def value(name, data_type, dims):
    return helper.make_tensor_value_info(name, data_type, dims)


F32 = TensorProto.FLOAT
double = helper.make_graph(
    [helper.make_node("Mul", ["x", "two"], ["y"])],
    "double",
    [value("x", F32, ["n", 3])],
    [value("y", F32, ["n", 3])],
    [raw("two", F32, [], "00000040")],
)
types = helper.make_graph(
    [
        helper.make_node(
            "Everything",
            ["a", "", "b"],
            ["c", "", "d"],
            name="all",
            domain="com.example",
            a_int=-5,
            b_ints=[1, -1, 300, 2**40],
            c_float=0.5,
            d_floats=[1.5, -2.25],
            e_string="caf\u00e9",
            f_strings=["", "x" * 200],
            g_tensor=raw("inner", TensorProto.INT64, [1], "feffffffffffffff"),
        )
    ],
    "types",
    [value("a", TensorProto.INT64, ["batch", 4])],
    [value("c", TensorProto.BOOL, []), value("d", TensorProto.UINT8, [0])],
    [
        external("b", TensorProto.FLOAT16, [2, 3], "weights.bin", 4096, 12),
        raw("four", TensorProto.INT4, [3], "2103"),
        raw("brain", TensorProto.BFLOAT16, [1], "803f"),
    ],
)

print(
    json.dumps(
        {
            "double": model(double),
            "types": model(
                types,
                opsets=[helper.make_opsetid("", 23), helper.make_opsetid("com.example", 1)],
                ir_version=11,
                metadata={"made by": "hand", "empty": ""},
            ),
        },
        indent=2,
    )
)
