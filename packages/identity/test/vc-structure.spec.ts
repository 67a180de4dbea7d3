import { describe, expect, it } from 'vitest'
import { createIdentity } from '@kwaai/identity'
import {
  addProof,
  eddsaJcs2022,
  issue,
  present,
  verifyPresentation,
  type CheckFault,
  type Credential,
  type Presentation
} from '@kwaai/identity/vc'
import { credentialFault, presentationFault } from '../src/vc/structure.ts'
import { checkTerms } from '../src/vc/terms.ts'

const v2 = 'https://www.w3.org/ns/credentials/v2'
const v1 = 'https://www.w3.org/2018/credentials/v1'
const examples = 'https://www.w3.org/ns/credentials/examples/v2'
const issuer = createIdentity({ seed: new Uint8Array(32).fill(1) })
const now = Date.UTC(2026, 0, 1)

const base = {
  '@context': [v2],
  type: ['VerifiableCredential'],
  issuer: issuer.did,
  credentialSubject: { id: 'did:example:subject' }
}
const old = { ...base, '@context': [v1], issuanceDate: '2025-01-01T00:00:00Z' }
const example = (name: string) => ({ '@context': [v2, { [name]: `https://example.org/#${name}` }] })
const bitstring = (more: object) => ({
  type: 'BitstringStatusListEntry',
  statusPurpose: 'revocation',
  statusListIndex: '7',
  statusListCredential: 'https://example.org/list',
  ...more
})
const sri = 'sha384-l/HrjlBCNWyAX91hr6LFV2Y3heB5Tcr6IeE4/Tje8YyzYBM8IhqjHWiWpr8+ZbYU'
const resource = { id: 'https://example.org/image.png', digestSRI: sri }

/** Each takes the place of members of the credential above. */
const allowed: Record<string, object> = {
  'as it is': {},
  'two contexts': { '@context': [v2, examples] },
  'a context object': { ...example('Card'), type: ['VerifiableCredential', 'Card'] },
  'a whole context document as object': {
    '@context': [v2, { '@context': { role: 'https://example.org/#role' } }],
    credentialSubject: { role: 'x' }
  },
  'an example type': { '@context': [v2, examples], type: ['RelationshipCredential', 'VerifiableCredential'] },
  'a type that is a URL': { type: ['VerifiableCredential', 'https://example.org/#Card'] },
  'an id that is a URN': { id: 'urn:uuid:86294362-4254-4f36-854f-3952fe42555d' },
  'an issuer object': { issuer: { id: issuer.did, name: 'Office' } },
  'an issuer in two languages': {
    issuer: {
      id: issuer.did,
      name: [
        { '@value': 'Dog', '@language': 'en' },
        { '@value': 'Chien', '@language': 'fr' }
      ]
    }
  },
  'a name with direction': { name: { '@value': 'Card', '@language': 'en', '@direction': 'ltr' } },
  'a description': { description: 'A card' },
  milliseconds: { validFrom: '2023-02-26T01:02:58.447Z' },
  'an offset': { validFrom: '2023-02-25T19:10:39-06:00', validUntil: '2023-02-25T19:10:39-07:00' },
  'a moment': { validFrom: '2023-02-25T19:10:39Z', validUntil: '2023-02-25T19:10:39Z' },
  'several subjects': { credentialSubject: [{ id: 'did:example:a' }, { id: 'did:example:b' }] },
  'a status without id': { ...example('List2017'), credentialStatus: { type: 'List2017' } },
  'a bitstring status': {
    credentialStatus: {
      type: 'BitstringStatusListEntry',
      statusPurpose: 'revocation',
      statusListIndex: '7',
      statusListCredential: 'https://example.org/list'
    }
  },
  'several schemas': {
    credentialSchema: [
      { type: 'https://example.org/#S', id: 'did:example:s/1' },
      { type: 'JsonSchema', id: 'https://example.org/s' }
    ]
  },
  'refresh services': {
    refreshService: [
      { type: 'https://example.org/#R' },
      { type: 'https://example.org/#R', id: 'did:example:r' }
    ]
  },
  'terms of use': {
    ...example('Policy'),
    termsOfUse: [{ type: 'Policy' }, { type: 'Policy', id: 'did:example:t' }]
  },
  evidence: { ...example('Seen'), evidence: { type: 'Seen' } },
  'a related resource by SRI': { relatedResource: { ...resource, mediaType: 'image/png' } },
  'a related resource by multihash': {
    relatedResource: [{ id: v2, digestMultibase: 'uEiBZlVztZpfWHgPyslVv6-UwirFoQoRvW1htfx963sknNA' }]
  },
  'a related resource by bare hash': {
    relatedResource: { id: v2, digestMultibase: 'uWZVc7WaX1h4D8rJVb-vlMIqxaEKEb1tYbX8fet7JJzQ' }
  },
  'digests as the data model prints them': {
    relatedResource: [
      { id: v2, digestSRI: sri.replace('-', '-M') },
      { id: examples, digestSRI: 'sha384-MzNNbQTWCSUSi0bbz7dbua+RcENv7C6FvlmYJ1Y+I727HsPOHdzwELMYO9Mz68M26' }
    ]
  },
  'data model 1.1': old,
  'data model 1.1 with all of it': {
    ...old,
    credentialStatus: { id: 'https://example.org/1', type: 'https://example.org/#S' },
    credentialSchema: { id: 'https://example.org/2', type: 'JsonSchemaValidator2018' },
    refreshService: { id: 'https://example.org/3', type: 'ManualRefreshService2018' }
  },
  'a protected term said again as it is': {
    '@context': [v2, { '@protected': true, id: '@id', name: 'https://schema.org/name' }]
  },
  'a scoped context': {
    '@context': [
      v2,
      {
        Card: { '@id': 'https://example.org/#Card', '@context': { color: 'https://example.org/#color' } },
        card: 'https://example.org/#card'
      }
    ],
    credentialSubject: { card: { type: 'Card', color: 'red' } }
  },
  'a property-scoped context': {
    '@context': [
      v2,
      { card: { '@id': 'https://example.org/#card', '@context': { color: 'https://example.org/#color' } } }
    ],
    credentialSubject: { card: { color: 'red' } }
  },
  'JSON under a name of the type @json': {
    '@context': [v2, { data: { '@id': 'https://example.org/#data', '@type': '@json' } }],
    credentialSubject: { data: { what: { ever: 1 } } }
  },
  'a language map': {
    '@context': [v2, { label: { '@id': 'https://example.org/#label', '@container': '@language' } }],
    credentialSubject: { label: { en: 'Card', fr: ['Carte'] } }
  },
  'compact IRIs': {
    '@context': [v2, { ex: 'https://example.org/#' }],
    type: ['VerifiableCredential', 'ex:Card'],
    credentialSubject: { 'ex:color': 'red' }
  }
}

/** Each with the code it is refused with. */
const refused: Record<string, [CheckFault, object]> = {
  'no context': ['STRUCTURE_INVALID', { '@context': undefined }],
  'a context that is no set': ['STRUCTURE_INVALID', { '@context': v2 }],
  'another first context': ['STRUCTURE_INVALID', { '@context': [examples, v2] }],
  'an unknown context': ['CONTEXT_UNKNOWN', { '@context': [v2, 'https://example.com'] }],
  'a context that is no URL': ['STRUCTURE_INVALID', { '@context': [v2, 'https ://not-a-url/v1'] }],
  'a context that is a number': ['STRUCTURE_INVALID', { '@context': [v2, 123] }],
  'a context of null': ['STRUCTURE_INVALID', { '@context': [v2, null] }],
  'no type': ['STRUCTURE_INVALID', { type: undefined }],
  'another type alone': ['STRUCTURE_INVALID', { '@context': [v2, examples], type: ['Card'] }],
  'a type nobody declares': [
    'TERM_UNDECLARED',
    { '@context': [v2, { '@vocab': null }], type: ['VerifiableCredential', 'Card'] }
  ],
  'a type that stands for no URL': [
    'STRUCTURE_INVALID',
    { '@context': [v2, { Card: 'https ://not-a-url#Card' }], type: ['VerifiableCredential', 'Card'] }
  ],
  'a type that is a number': ['STRUCTURE_INVALID', { type: ['VerifiableCredential', 2] }],
  'an id of null': ['STRUCTURE_INVALID', { id: null }],
  'two ids': ['STRUCTURE_INVALID', { id: ['did:example:a', 'did:example:b'] }],
  'an id that is no URL': ['STRUCTURE_INVALID', { id: 'not-a-url' }],
  'an id that is a web address to some readers': ['STRUCTURE_INVALID', { id: 'https:example.org' }],
  'an id under two names': ['STRUCTURE_INVALID', { id: 'did:example:a', '@id': 'did:example:b' }],
  'two ids of a subject': [
    'STRUCTURE_INVALID',
    { credentialSubject: { id: ['did:example:a', 'did:example:b'] } }
  ],
  'an id below that is no URL': [
    'STRUCTURE_INVALID',
    { '@context': [v2, examples], credentialSubject: { friend: { id: 'nobody' } } }
  ],
  'a name with more': [
    'STRUCTURE_INVALID',
    { name: { '@value': 'Card', '@language': 'en', url: 'did:example:a' } }
  ],
  'a name that is a number': ['STRUCTURE_INVALID', { name: 7 }],
  'a description without value': ['STRUCTURE_INVALID', { description: { '@language': 'en' } }],
  'a name with a wrong direction': ['STRUCTURE_INVALID', { name: { '@value': 'Card', '@direction': 'up' } }],
  'an issuer that is no URL': ['STRUCTURE_INVALID', { issuer: 'fake-issuer' }],
  'an issuer of null': ['STRUCTURE_INVALID', { issuer: null }],
  'an issuer object of null': ['STRUCTURE_INVALID', { issuer: { id: null } }],
  'a name of the issuer with more': [
    'STRUCTURE_INVALID',
    { issuer: { id: issuer.did, name: { '@value': 'O', url: 'did:example:a' } } }
  ],
  'no subject': ['STRUCTURE_INVALID', { credentialSubject: undefined }],
  'an empty subject': ['STRUCTURE_INVALID', { credentialSubject: {} }],
  'no subjects': ['STRUCTURE_INVALID', { credentialSubject: [] }],
  'an empty one of the subjects': ['STRUCTURE_INVALID', { credentialSubject: [{ id: 'did:example:a' }, {}] }],
  'a time in words': ['STRUCTURE_INVALID', { validUntil: 'Sun, 26 Feb 2023 01:22:14 +0000' }],
  'a time without zone': ['STRUCTURE_INVALID', { validFrom: '2023-02-26T01:02:58' }],
  'an end before the beginning': [
    'STRUCTURE_INVALID',
    { validFrom: '2024-01-01T00:00:00Z', validUntil: '2023-01-01T00:00:00Z' }
  ],
  'a status without type': ['STRUCTURE_INVALID', { credentialStatus: { id: 'did:example:s' } }],
  'a status of two ids': [
    'STRUCTURE_INVALID',
    { credentialStatus: { id: ['did:example:s', 'did:example:t'], type: 'BitstringStatusListEntry' } }
  ],
  'a status whose id is no URL': [
    'STRUCTURE_INVALID',
    { credentialStatus: { id: 'not-a-url', type: 'BitstringStatusListEntry' } }
  ],
  'a status whose type is a number': ['STRUCTURE_INVALID', { credentialStatus: { type: 2 } }],
  'a list entry whose index is no text': [
    'STATUS_INVALID',
    { credentialStatus: [bitstring({ statusListIndex: '7' }), bitstring({ statusListIndex: 7 })] }
  ],
  'a list entry without purpose': ['STATUS_INVALID', { credentialStatus: bitstring({ statusPurpose: '' }) }],
  'a status whose type nobody declares': ['TERM_UNDECLARED', { credentialStatus: { type: 'List2017' } }],
  'a schema without type': ['STRUCTURE_INVALID', { credentialSchema: { id: 'did:example:s' } }],
  'a schema without id': ['STRUCTURE_INVALID', { credentialSchema: { type: 'JsonSchema' } }],
  'a schema whose id is a number': ['STRUCTURE_INVALID', { credentialSchema: { id: 1, type: 'JsonSchema' } }],
  'a refresh service without type': ['STRUCTURE_INVALID', { refreshService: { id: 'did:example:r' } }],
  'terms of use without type': ['STRUCTURE_INVALID', { termsOfUse: [{ id: 'did:example:t' }] }],
  'evidence without type': ['STRUCTURE_INVALID', { evidence: { id: 'did:example:e' } }],
  'evidence that is a text': ['STRUCTURE_INVALID', { evidence: 'seen' }],
  'a confidence method without type': ['STRUCTURE_INVALID', { confidenceMethod: { id: 'did:example:c' } }],
  'a render method without type': ['STRUCTURE_INVALID', { renderMethod: { id: 'did:example:c' } }],
  'resources that are texts': ['STRUCTURE_INVALID', { relatedResource: [v2] }],
  'a resource without id': ['STRUCTURE_INVALID', { relatedResource: { digestSRI: sri } }],
  'a resource twice': ['STRUCTURE_INVALID', { relatedResource: [resource, resource] }],
  'a resource without digest': ['STRUCTURE_INVALID', { relatedResource: { id: v2 } }],
  'a digest that is none': [
    'STRUCTURE_INVALID',
    { relatedResource: { id: v2, digestMultibase: 'uZTQ0MjM1NiAgcmVwb3J0' } }
  ],
  'a digest of another hash': ['STRUCTURE_INVALID', { relatedResource: { id: v2, digestSRI: 'md5-abcd' } }],
  'a digest of something else': [
    'RESOURCE_MISMATCH',
    { relatedResource: { id: v2, digestSRI: sri.replace('l/', 'm/') } }
  ],
  'a proof without type': ['STRUCTURE_INVALID', { proof: { proofPurpose: 'assertionMethod' } }],
  'an envelope': [
    'STRUCTURE_INVALID',
    { type: 'EnvelopedVerifiableCredential', id: 'data:application/vc+jwt,eyJ' }
  ],
  'a protected type redefined': [
    'STRUCTURE_INVALID',
    { '@context': [v2, { VerifiableCredential: 'https://example.org/#Bad' }] }
  ],
  'a term protected by the credential redefined': [
    'STRUCTURE_INVALID',
    {
      '@context': [
        v2,
        { '@protected': true, Card: 'https://example.org/#Card' },
        { Card: 'https://example.org/#Bad' }
      ]
    }
  ],
  'a context of null further in': [
    'STRUCTURE_INVALID',
    {
      '@context': [v2, examples],
      credentialSubject: { id: 'did:example:a', '@context': null, x: 1 }
    }
  ],
  'a claim nobody declares': ['TERM_UNDECLARED', { credentialSubject: { role: 'x' } }],
  'a member nobody declares': ['TERM_UNDECLARED', { color: 'red' }],
  'a member of 1.1 in 2.0': ['TERM_UNDECLARED', { issuanceDate: '2025-01-01T00:00:00Z' }],
  'a claim a context takes away': [
    'TERM_UNDECLARED',
    { '@context': [v2, { role: null }], credentialSubject: { role: 'x' } }
  ],
  'a claim of a scoped context outside of it': [
    'TERM_UNDECLARED',
    {
      '@context': [
        v2,
        {
          Card: { '@id': 'https://example.org/#Card', '@context': { color: 'https://example.org/#color' } },
          card: 'https://example.org/#card'
        }
      ],
      credentialSubject: { card: { type: 'Card', card: { color: 'red' } } }
    }
  ],
  'a term that is defined by itself': ['STRUCTURE_INVALID', { '@context': [v2, { a: 'b:x', b: 'a:y' }] }],
  'an imported context': ['STRUCTURE_INVALID', { '@context': [v2, { '@import': 'https://example.org/c' }] }],
  '1.1 without its date': ['STRUCTURE_INVALID', { ...old, issuanceDate: undefined }],
  '1.1 with a status without id': [
    'STRUCTURE_INVALID',
    { ...old, credentialStatus: { type: 'https://example.org/#S' } }
  ],
  '1.1 with a refresh service without id': [
    'STRUCTURE_INVALID',
    { ...old, refreshService: { type: 'ManualRefreshService2018' } }
  ]
}

describe('what the data model wants of a credential', () => {
  it.each(Object.entries(allowed))('allows %s', async (_name, more) => {
    await expect(issue({ ...base, ...more } as Credential, issuer, { now })).resolves.toHaveProperty('proof')
  })

  it.each(Object.entries(refused))('refuses %s', async (_name, [code, more]) => {
    await expect(issue({ ...base, ...more } as Credential, issuer, { now })).rejects.toMatchObject({
      code: 'ERR_IDENTITY_INVALID_CREDENTIAL',
      details: { code }
    })
  })

  it('knows the contexts it is given, and no others', () => {
    const document = { '@context': [v2, 'https://example.org/c'], role: 'x' }
    const given = { 'https://example.org/c': { '@context': { role: 'https://example.org/#role' } } }
    expect(checkTerms(document)?.code).toBe('CONTEXT_UNKNOWN')
    expect(checkTerms(document, given)).toBeUndefined()
    // What was worked out before for the same names of contexts is not taken for others.
    expect(checkTerms(document, { 'https://example.org/c': { '@context': {} } })?.code).toBe(
      'TERM_UNDECLARED'
    )
    expect(checkTerms(document)?.code).toBe('CONTEXT_UNKNOWN')
  })

  it('takes no name of a context for several, nor for none', () => {
    const below = (context: unknown) => ({ '@context': [v2, examples], a: { '@context': context, b: 1 } })
    expect(checkTerms(below([v2, examples]) as never)).toBeUndefined()
    expect(checkTerms(below(`${v2} ${examples}`) as never)?.code).toBe('CONTEXT_UNKNOWN')
    const bare = (context: unknown) => ({ '@context': [], 'https://example.org/#a': { '@context': context } })
    expect(checkTerms(bare(null) as never)).toBeUndefined()
    expect(checkTerms(bare('null') as never)?.code).toBe('CONTEXT_UNKNOWN')
  })

  it('ends with contexts that grow without end', () => {
    const bomb: Record<string, unknown> = { '@context': 'https://example.org/c' }
    expect(
      checkTerms({ '@context': [v2, 'https://example.org/c'] }, { 'https://example.org/c': bomb })?.code
    ).toBe('STRUCTURE_INVALID')
    const terms = Object.fromEntries(
      Array.from({ length: 2_000 }, (_, i) => [`t${i}`, `https://example.org/#${i}`])
    )
    const wide = { '@context': [v2, ...Array.from({ length: 60 }, () => terms)] }
    expect(checkTerms(wide)).toMatchObject({
      code: 'STRUCTURE_INVALID',
      message: expect.stringContaining('too large')
    })
    let deep: object = { a: 1 }
    for (let i = 0; i < 60; i++) deep = { a: deep }
    expect(checkTerms({ '@context': [v2, examples], ...deep } as never)).toBeUndefined()
  })
})

describe('what the data model wants of a presentation', () => {
  const presentation: Presentation = { '@context': [v2], type: ['VerifiablePresentation'] }

  it.each<[string, object]>([
    ['nothing more', {}],
    ['no credentials', { verifiableCredential: [] }],
    ['a holder object', { holder: { id: 'did:example:h' } }],
    ['an id', { id: 'urn:uuid:86294362-4254-4f36-854f-3952fe42555d' }]
  ])('allows %s', (_name, more) => {
    expect(presentationFault({ ...presentation, ...more })).toBeUndefined()
  })

  it.each<[string, object]>([
    ['no context', { '@context': undefined }],
    ['another first context', { '@context': [examples, v2] }],
    ['no type', { type: undefined }],
    ['another type alone', { type: ['VerifiableCredential'] }],
    ['an id that is no URL', { id: 'x' }],
    ['a holder that is no URL', { holder: 'x' }],
    ['a holder object whose id is no URL', { holder: { id: 'z6Mk' } }],
    ['a credential as a text', { verifiableCredential: 'eyJ' }],
    ['credentials as texts', { verifiableCredential: ['https://example.org/1'] }],
    [
      'an enveloped credential',
      {
        verifiableCredential: {
          '@context': v2,
          id: 'data:application/vc+jwt,e',
          type: 'EnvelopedVerifiableCredential'
        }
      }
    ],
    [
      'an enveloped presentation',
      { type: 'EnvelopedVerifiablePresentation', id: 'data:application/vp+jwt,e' }
    ],
    ['terms of use without type', { termsOfUse: { id: 'did:example:t' } }]
  ])('refuses %s', (_name, more) => {
    expect(presentationFault({ ...presentation, ...more })).toEqual(expect.any(String))
  })

  it('says by name that envelopes are not supported', () => {
    expect(credentialFault({ ...base, type: 'EnvelopedVerifiableCredential' })).toContain(
      'EnvelopedVerifiableCredential is not supported'
    )
  })

  it('lets a credential of their own be presented by who names no holder', async () => {
    const own = await issue({ ...base, credentialSubject: { id: issuer.did } }, issuer, { now })
    const { holder: _h, proof: _p, ...unsigned } = await present([own], issuer, { now })
    const suite = eddsaJcs2022
    const shown = await addProof(unsigned, {
      signer: issuer,
      suite,
      created: now,
      proofPurpose: 'authentication'
    })
    const { ok, holder } = await verifyPresentation(shown as Presentation, { now })
    expect([ok, holder]).toEqual([true, issuer.did])
  })
})
