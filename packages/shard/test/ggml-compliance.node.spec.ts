import { blockBackendSuite } from '@kwaai/testing'
import { it } from 'vitest'
import { createGgmlBackend } from '../src/ggml/index.ts'
import { bytesSource, llamaConfig, readGguf } from '../src/gguf/index.ts'
import { toyModel } from './toy-model.ts'

const model = bytesSource(toyModel({ type: 'Q4_0' }))

blockBackendSuite(it, {
  create: async () => ({ backend: createGgmlBackend(), model, shape: llamaConfig(await readGguf(model)) })
})
