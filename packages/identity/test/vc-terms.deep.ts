import { it } from 'vitest'
import { judgeTerms } from './term-judge.ts'

it('judges names and contexts as jsonld does in safe mode, 3,000 documents', () => judgeTerms(3_000, 11))
