import fc from 'fast-check'
import { expect } from 'vitest'
import { createEddsaRdfc2022 } from '@kwaai/identity/vc-ld'
import { checkTerms } from '../src/vc/terms.ts'

// The judge is jsonld in safe mode, behind eddsa-rdfc-2022: it throws for what no context declares.
const judge = createEddsaRdfc2022()
const v2 = 'https://www.w3.org/ns/credentials/v2'
const examples = 'https://www.w3.org/ns/credentials/examples/v2'

// More of those that nothing else declares, so that both verdicts come up often.
const own = ['a', 'b', 'c', 'card', 'Card', 'Other']
const name = fc.constantFrom(...own, ...own, ...own, 'issuer', 'name', 'mediaType', 'ex')
const iri = fc.constantFrom(
  'https://example.org/#a',
  'https://example.org/#b',
  'https://schema.org/x',
  'https://example.org/#d',
  'ex:thing',
  'b'
)
const flag = fc.option(fc.boolean(), { nil: undefined, freq: 3 })

const { context } = fc.letrec<{ context: object; term: unknown }>((tie) => ({
  context: fc
    .record({
      terms: fc.dictionary(name, tie('term'), { maxKeys: 4 }),
      // jsonld takes false at this place for a circle.
      '@protected': fc.option(fc.constant(true), { nil: undefined, freq: 2 }),
      // With false jsonld lets what is below redefine protected terms.
      '@propagate': fc.option(fc.constant(true), { nil: undefined, freq: 6 }),
      '@vocab': fc.option(fc.constantFrom('https://example.org/vocab#', 'https://example.org/v2#', null), {
        nil: undefined,
        freq: 4
      })
    })
    .map(({ terms, ...rest }) => ({ ...defined(rest), ex: 'https://example.org/ex#', ...terms })),
  term: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { weight: 4, arbitrary: iri },
    { weight: 1, arbitrary: fc.constant(null) },
    {
      weight: 3,
      arbitrary: fc
        .record({
          '@id': fc.option(iri, { nil: undefined, freq: 4 }),
          '@type': fc.option(fc.constantFrom('@json', '@none', 'https://example.org/type'), {
            nil: undefined,
            freq: 2
          }),
          '@protected': flag,
          '@context': fc.option(tie('context'), { nil: undefined, freq: 2 })
        })
        .map(defined)
    }
  )
}))

const { node } = fc.letrec<{ node: object; value: unknown }>((tie) => ({
  node: fc
    .record({
      type: fc.option(fc.subarray(['Card', 'Other', 'ex:Kind'], { minLength: 1 }), {
        nil: undefined,
        freq: 2
      }),
      '@context': fc.option(context, { nil: undefined, freq: 6 }),
      members: fc.dictionary(
        name.filter((text) => !['issuer', 'name'].includes(text)),
        tie('value'),
        { minKeys: 1, maxKeys: 3 }
      )
    })
    .map(({ members, ...rest }) => ({ ...defined(rest), ...members })),
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { weight: 3, arbitrary: fc.constantFrom('text', 7, true) },
    { weight: 3, arbitrary: tie('node') },
    { weight: 1, arbitrary: fc.array(tie('node'), { minLength: 1, maxLength: 2 }) }
  )
}))

function defined(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined))
}

/** Random contexts and documents, of which `checkTerms` and jsonld have to come to the same verdict. */
export async function judgeTerms(runs: number, seed: number): Promise<void> {
  const verdicts = { both: 0, neither: 0 }
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(context, fc.constant(examples)), { maxLength: 2 }),
      node,
      async (contexts, subject) => {
        const document = {
          '@context': [v2, ...contexts],
          type: ['VerifiableCredential'],
          issuer: 'did:example:issuer',
          credentialSubject: { id: 'did:example:subject', ...subject }
        }
        const ours = checkTerms(document as never)
        const theirs = await judge
          .hash(document as never, { type: 'DataIntegrityProof', cryptosuite: 'eddsa-rdfc-2022' })
          .then(
            () => undefined,
            (error: Error) => error.message
          )
        if (theirs === undefined) verdicts.both++
        else verdicts.neither++
        expect(
          { refused: ours !== undefined, why: ours?.message },
          `${theirs}\n${JSON.stringify(document, undefined, 1)}`
        ).toMatchObject({ refused: theirs !== undefined })
      }
    ),
    { numRuns: runs, seed }
  )
  // Both verdicts have to come up, or nothing was judged.
  expect(Math.min(verdicts.both, verdicts.neither)).toBeGreaterThan(runs / 10)
}
