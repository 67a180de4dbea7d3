"""What a program in Python asks of the API with the official package. Ends with status 0 where all is as it should be."""

import asyncio
import json
import math
import sys
from typing import Literal

import openai
from pydantic import BaseModel, Field

base_url, model, embedder, token = sys.argv[1:5]
question = [{"role": "user", "content": "What is a peer-to-peer network?"}]
client = openai.OpenAI(api_key=token, base_url=base_url, max_retries=0)


class Network(BaseModel):
    name: str = Field(max_length=12)
    kind: Literal["central", "peer"]
    peers: int = Field(ge=0, le=9)


class GetWeather(BaseModel):
    city: str = Field(max_length=16)
    unit: Literal["celsius", "fahrenheit"]


def chats() -> None:
    assert [each.id for each in client.models.list()][0] == model
    whole = client.chat.completions.create(model=model, messages=question, temperature=0, max_tokens=16)
    assert whole.choices[0].finish_reason == "length" and whole.usage.completion_tokens == 16
    text = ""
    for chunk in client.chat.completions.create(
        model=model, messages=question, temperature=0, max_tokens=16, stream=True
    ):
        text += chunk.choices[0].delta.content or ""
    assert text == whole.choices[0].message.content, (text, whole)
    with client.chat.completions.stream(model=model, messages=question, temperature=0, max_tokens=16) as stream:
        for _ in stream:
            pass
        try:
            assert stream.get_final_completion().choices[0].message.content == text
        except openai.LengthFinishReasonError:
            # The helper takes a cut answer for none.
            pass
    raw = client.chat.completions.with_raw_response.create(model=model, messages=question, max_tokens=1)
    assert raw.headers["x-request-id"].startswith("req_") and raw.parse().choices
    legacy = client.completions.create(model=model, prompt="Once upon a", temperature=0, max_tokens=4)
    assert legacy.choices[0].text.startswith(" time")


def tools() -> None:
    answer = client.chat.completions.parse(
        model=model,
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[openai.pydantic_function_tool(GetWeather)],
        tool_choice="required",
        temperature=0,
        max_tokens=80,
    )
    call = answer.choices[0].message.tool_calls[0]
    assert isinstance(call.function.parsed_arguments, GetWeather), call


def parse() -> None:
    answer = client.chat.completions.parse(
        model=model, messages=question, response_format=Network, temperature=0, max_tokens=100
    )
    assert isinstance(answer.choices[0].message.parsed, Network), answer
    response = client.responses.parse(
        model=model, input="What is a peer?", text_format=Network, temperature=0, max_output_tokens=100
    )
    assert isinstance(response.output_parsed, Network), response


def embeddings() -> None:
    plain = client.embeddings.create(model=embedder, input=["A cat.", "A dog."], encoding_format="float")
    coded = client.embeddings.create(model=embedder, input=["A cat.", "A dog."])
    for one, other in zip(plain.data, coded.data):
        assert len(one.embedding) == 384
        assert abs(math.sqrt(sum(x * x for x in one.embedding)) - 1) < 1e-5
        assert all(abs(x - y) < 1e-6 for x, y in zip(one.embedding, other.embedding))


def responses() -> None:
    first = client.responses.create(model=model, input="What is a peer?", temperature=0, max_output_tokens=12)
    assert first.output_text
    assert client.responses.retrieve(first.id).output_text == first.output_text
    text = ""
    kinds = []
    for event in client.responses.create(
        model=model, input="What is a peer?", temperature=0, max_output_tokens=12, stream=True, store=False
    ):
        kinds.append(event.type)
        if event.type == "response.output_text.delta":
            text += event.delta
    assert text == first.output_text and kinds[0] == "response.created", kinds
    second = client.responses.create(
        model=model, input="Go on.", previous_response_id=first.id, temperature=0, max_output_tokens=8
    )
    assert second.usage.input_tokens > first.usage.input_tokens + 12
    client.responses.delete(first.id)
    try:
        client.responses.retrieve(first.id)
        raise AssertionError("It is still there")
    except openai.NotFoundError:
        pass


def errors() -> None:
    for more, status in (({"temperature": 3}, 400), ({"model": "nobody"}, 404)):
        try:
            client.chat.completions.create(**{"model": model, "messages": question, **more})
            raise AssertionError(more)
        except openai.APIStatusError as error:
            assert error.status_code == status, error
            assert error.body["type"] == "invalid_request_error", error.body


async def asynchronously() -> None:
    async with openai.AsyncOpenAI(api_key=token, base_url=base_url, max_retries=0) as waiting:
        async def one(count: int) -> str:
            text = ""
            async for chunk in await waiting.chat.completions.create(
                model=model, messages=question, temperature=0, max_tokens=count, stream=True
            ):
                text += chunk.choices[0].delta.content or ""
            return text

        short, long = await asyncio.gather(one(6), one(12))
        assert long.startswith(short), (short, long)


for check in (chats, tools, parse, embeddings, responses, errors):
    check()
    print(json.dumps({"passed": check.__name__}), flush=True)
asyncio.run(asynchronously())
print(json.dumps({"passed": "asynchronously", "version": openai.__version__}), flush=True)
