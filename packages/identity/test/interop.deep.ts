import { test } from 'vitest'
import { bothWays } from './interop.ts'

test.each(['eddsa-jcs-2022', 'eddsa-rdfc-2022'] as const)(
  '@digitalbazaar/vc and we verify each other, 1,000 documents of %s',
  (name) => bothWays(name, 1000, 20_261_127)
)
