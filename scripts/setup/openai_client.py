"""Asks a chat model twice with OpenAI's client, whole and streamed: openai_client.py BASE_URL."""

import sys

from openai import DefaultHttpxClient, OpenAI

client = OpenAI(
    base_url=sys.argv[1],
    api_key="not-needed",
    timeout=20,
    http_client=DefaultHttpxClient(trust_env=False),
)
messages = [{"role": "user", "content": "Say something about gateways"}]
whole = client.chat.completions.create(model="demo", messages=messages)
print("whole:", whole.choices[0].message.content, f"({whole.usage.total_tokens} tokens)")
pieces = [
    chunk.choices[0].delta.content or ""
    for chunk in client.chat.completions.create(model="demo", messages=messages, stream=True)
    if chunk.choices
]
text = "".join(pieces)
assert text == whole.choices[0].message.content, text
print("streamed:", text, f"({len(pieces)} pieces)")
