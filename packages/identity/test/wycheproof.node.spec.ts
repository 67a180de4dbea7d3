import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createWebCryptoEngine, softwareEngine, verifyEd25519 } from '../src/ed25519.ts'
import { quickestEngine } from '../src/platform.ts'
import { fromHex } from './hex.ts'
import excerpt from './vectors/wycheproof-excerpt.json' with { type: 'json' }

interface Case {
  publicKey: string
  tcId: number
  message: string
  signature: string
  result: string
}

// The whole of Wycheproof's ed25519_test.json where KWAAI_TEST_DATA names a folder that has it.
const file = join(process.env['KWAAI_TEST_DATA'] ?? '', 'vectors', 'ed25519-wycheproof.json')
const whole = process.env['KWAAI_TEST_DATA'] !== undefined && existsSync(file)

function load(): Case[] {
  if (!whole) return excerpt.vectors
  const { testGroups } = JSON.parse(readFileSync(file, 'utf8')) as {
    testGroups: {
      publicKey: { pk: string }
      tests: { tcId: number; msg: string; sig: string; result: string }[]
    }[]
  }
  return testGroups.flatMap(({ publicKey, tests }) =>
    tests.map(({ tcId, msg, sig, result }) => ({
      publicKey: publicKey.pk,
      tcId,
      message: msg,
      signature: sig,
      result
    }))
  )
}

const webCrypto = createWebCryptoEngine(crypto.subtle)

test.each([
  ['WebCrypto', webCrypto],
  ['Node.js in the thread', await quickestEngine(webCrypto)],
  ['JavaScript', softwareEngine]
])(
  `%s agrees with ${whole ? 'all of Wycheproof' : 'the committed excerpt of Wycheproof (KWAAI_TEST_DATA is not set)'}`,
  async (_name, engine) => {
    const cases = load()
    expect(cases.length).toBe(whole ? 151 : excerpt.vectors.length)
    const wrong: number[] = []
    for (const { tcId, publicKey, message, signature, result } of cases) {
      const holds = await verifyEd25519(fromHex(publicKey), fromHex(message), fromHex(signature), engine)
      if (holds !== (result === 'valid')) wrong.push(tcId)
    }
    expect(wrong).toEqual([])
  }
)
