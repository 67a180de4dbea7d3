import { blockBackendSuite } from '@kwaai/testing'
import { describe, test } from 'vitest'
import { bytesSource, llamaConfig, readGguf } from '../src/gguf/index.ts'
import { createReferenceBackend, type ReferenceBackendInit } from '../src/reference/index.ts'
import { toyModel, type ToyModelInit } from './toy-model.ts'

async function fixtureOf(model: ToyModelInit, init: ReferenceBackendInit = {}) {
  const source = bytesSource(toyModel(model))
  const shape = llamaConfig(await readGguf(source))
  return { backend: createReferenceBackend(init), model: source, shape }
}

const small = { hiddenSize: 32, headCount: 2, headSize: 16, feedForwardSize: 64 }

describe('Q8_0 weights, f32 cache', () => {
  blockBackendSuite(test, { create: () => fixtureOf({ ...small, kvHeadCount: 1, type: 'Q8_0' }) })
})

describe('F32 weights, f16 cache', () => {
  blockBackendSuite(test, {
    create: () => fixtureOf({ ...small, kvHeadCount: 2, blockCount: 2 }, { kvFormat: 'f16' })
  })
})
