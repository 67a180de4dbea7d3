import { it } from 'vitest'
import { judgeTerms } from './term-judge.ts'

it('judges names and contexts as jsonld does in safe mode', () => judgeTerms(150, 6))
