// A chat with a model file on this machine: no network, no server, llama.cpp's kernels.
import { createGgmlBackend } from '@kwaai/shard/ggml'
import { createTextModel, localBlocks } from '@kwaai/shard/generate'
import { fileSource, readGguf } from '@kwaai/shard/gguf'

// `npm start` puts the default model into the cache; any GGUF file of the Llama architecture will do.
const path = process.env['KWAAI_MODEL_PATH']
if (path === undefined) throw new Error('Set KWAAI_MODEL_PATH to a GGUF file')

const source = await fileSource(path)
const file = await readGguf(source)
await using backend = createGgmlBackend()
await using head = await backend.loadHead(source)
await using runner = await backend.loadBlocks(source, { from: 0, to: head.shape.blockCount })
const model = createTextModel({ id: 'local' }, { file, head, blocks: localBlocks(runner) })

const messages = [{ role: 'user' as const, content: 'What is a peer-to-peer network?' }]
for await (const event of model.chat({ messages, temperature: 0, maxTokens: 24 })) {
  if (event.type === 'text') process.stdout.write(event.text)
  if (event.type === 'finish') console.log(`\nended by ${event.reason}`)
  if (event.type === 'usage') {
    console.log(`${event.usage.promptTokens} tokens in, ${event.usage.completionTokens} out`)
  }
}

/* Prints
…peer-to-peer…
ended by length
40 tokens in, 24 out
*/
