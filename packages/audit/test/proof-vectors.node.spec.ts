import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runCases, type ProofCases } from './proof-cases.ts'

const path = join(process.env['KWAAI_TEST_DATA'] ?? '', 'vectors/rfc6962-proofs.json')

// Without the folder a few of them run in merkle.spec.ts.
test.runIf(existsSync(path))('all good and bad proofs of RFC 6962', () => {
  const cases = JSON.parse(readFileSync(path, 'utf8')) as ProofCases
  const { wrong, good, bad } = runCases(cases)
  expect(wrong).toEqual([])
  expect([good, bad]).toEqual([12, 184])
})
