import { describe, expect, it } from 'vitest'
import { createIdentity } from '@kwaai/identity'
import { createVcApi, type VcApi } from '@kwaai/identity/vc-api'

const now = Date.UTC(2026, 0, 1)
const clock = { now: () => now }
const identity = createIdentity({ seed: new Uint8Array(32).fill(1) })
const api = createVcApi({ identity, clock })

const v2 = 'https://www.w3.org/ns/credentials/v2'
const credential = {
  '@context': [v2],
  type: ['VerifiableCredential'],
  credentialSubject: { id: 'did:example:subject', name: 'Example' }
}

interface Answer {
  status: number
  type: string | null
  body: Record<string, unknown> & { code?: string; verified?: boolean; proof?: Record<string, unknown> }
}

async function post(
  path: string,
  body: unknown,
  to: VcApi = api,
  headers: Record<string, string> = {}
): Promise<Answer> {
  const response = await to.fetch(
    new Request(`http://localhost${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body)
    })
  )
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    body: (await response.json()) as Answer['body']
  }
}

async function issued(more: object = {}, options: object = {}): Promise<Answer['body']> {
  const { status, body } = await post('/credentials/issue', {
    credential: { ...credential, ...more },
    options
  })
  expect(status).toBe(201)
  return body
}

describe('POST /credentials/issue', () => {
  it('answers the bare credential, and gives it an issuer', async () => {
    const { status, type, body } = await post('/credentials/issue', { credential })
    expect([status, type]).toEqual([201, 'application/json'])
    expect(body).toMatchObject({
      ...credential,
      issuer: identity.did,
      proof: { cryptosuite: 'eddsa-jcs-2022' }
    })
  })

  it('makes a key of its own', async () => {
    const own = createVcApi({})
    expect(own.issuer).toMatch(/^did:key:z6Mk/)
    expect(own.issuer).not.toBe(createVcApi().issuer)
    expect((await post('/credentials/issue', { credential }, own)).body['issuer']).toBe(own.issuer)
  })

  it('issues under its own name alone', async () => {
    expect((await issued({ issuer: 'did:example:other' }))['issuer']).toBe(identity.did)
    expect((await issued({ issuer: { id: 'did:example:other', name: 'Office' } }))['issuer']).toEqual({
      id: identity.did,
      name: 'Office'
    })
    expect((await issued({ issuer: { name: 'Office' } }))['issuer']).toEqual({
      id: identity.did,
      name: 'Office'
    })
  })

  it.each<[string, object]>([
    ['no credential', { verifiableCredential: credential }],
    ['a credential that is a text', { credential: 'x' }],
    ['no context', { credential: { ...credential, '@context': undefined } }],
    ['no subject', { credential: { ...credential, credentialSubject: undefined } }],
    ['an issuer that is no URL', { credential: { ...credential, issuer: 'fake-issuer' } }],
    ['an issuer of null', { credential: { ...credential, issuer: null } }],
    ['an undeclared claim', { credential: { ...credential, credentialSubject: { role: 'x' } } }],
    ['an unknown cryptosuite', { credential, options: { cryptosuite: 'ecdsa-rdfc-2019' } }],
    ['options that are none', { credential, options: 'x' }],
    ['a cryptosuite that is a number', { credential, options: { cryptosuite: 7 } }]
  ])('refuses %s with a problem', async (_name, body) => {
    const answer = await post('/credentials/issue', body)
    expect([answer.status, answer.type]).toEqual([400, 'application/problem+json'])
    expect(answer.body).toMatchObject({
      type: expect.stringContaining('#MALFORMED_VALUE_ERROR'),
      status: 400,
      title: expect.any(String),
      detail: expect.any(String)
    })
  })

  it('issues under eddsa-rdfc-2022 and verifies that', async () => {
    const body = await issued({}, { cryptosuite: 'eddsa-rdfc-2022' })
    expect(body.proof).toMatchObject({ cryptosuite: 'eddsa-rdfc-2022' })
    expect((await post('/credentials/verify', { verifiableCredential: body })).status).toBe(200)
  })

  it('issues data model 1.1', async () => {
    const body = await issued({
      '@context': [
        'https://www.w3.org/2018/credentials/v1',
        { '@context': { name: 'https://schema.org/name' } }
      ],
      issuanceDate: '2020-03-16T22:37:26.544Z'
    })
    expect((await post('/credentials/verify', { verifiableCredential: body })).status).toBe(200)
  })
})

describe('POST /credentials/verify', () => {
  it('keeps to the budget it was made with', async () => {
    const verifiableCredential = await issued()
    const poor = createVcApi({ identity, clock, limits: { proofs: 0 } })
    const { body } = await post('/credentials/verify', { verifiableCredential }, poor)
    expect(body.verified).toBe(false)
    expect(JSON.stringify(body)).toContain('BUDGET_PROOFS')
    expect((await post('/credentials/verify', { verifiableCredential })).body.verified).toBe(true)
  })

  it('answers 200 where every check holds', async () => {
    const { status, body } = await post('/credentials/verify', {
      verifiableCredential: await issued(),
      options: { checks: ['proof'] }
    })
    expect(status).toBe(200)
    expect(body).toMatchObject({ verified: true, problemDetails: [] })
    expect(body['checks']).toHaveLength(8)
  })

  it('answers 400 with what does not hold', async () => {
    const body = await issued()
    const { proof, ...stripped } = body
    const rows: [unknown, object, string][] = [
      [{ ...body, credentialSubject: { id: 'did:example:other' } }, {}, 'PROOF_INVALID_SIGNATURE'],
      [stripped, {}, 'PROOF_MISSING'],
      [{ ...body, proof: null }, {}, 'STRUCTURE_INVALID'],
      [{ ...body, proof: { ...proof, type: undefined } }, {}, 'STRUCTURE_INVALID'],
      [{ ...body, proof: { ...proof, cryptosuite: 'x' } }, {}, 'PROOF_SUITE_UNKNOWN'],
      [{ ...body, proof: { ...proof, proofValue: null } }, {}, 'PROOF_MALFORMED'],
      [{ type: ['NonconformingDocument'] }, {}, 'STRUCTURE_INVALID'],
      [body, { expectedProofPurpose: 'authentication' }, 'PROOF_WRONG_PURPOSE'],
      [body, { domain: 'domain.example' }, 'PROOF_WRONG_DOMAIN'],
      [body, { challenge: '1235abcd6789' }, 'PROOF_WRONG_CHALLENGE'],
      [body, { subjectBinding: 'holder', holder: identity.did }, 'SUBJECT_NOT_HOLDER']
    ]
    for (const [verifiableCredential, options, code] of rows) {
      const answer = await post('/credentials/verify', { verifiableCredential, options })
      expect([answer.status, answer.type, code]).toEqual([400, 'application/problem+json', answer.body.code])
      expect(answer.body.verified).toBe(false)
    }
  })

  it('asks for the subject where it is told to', async () => {
    const verifiableCredential = await issued()
    const ask = (options: object) => post('/credentials/verify', { verifiableCredential, options })
    expect((await ask({ subjectBinding: 'holder', holder: 'did:example:subject' })).status).toBe(200)
    expect((await ask({ subjectBinding: 'none' })).status).toBe(200)
    expect((await ask({ subjectBinding: 'holder' })).status).toBe(400)
    expect((await ask({ subjectBinding: 'x' })).status).toBe(400)
  })
})

describe('POST /presentations and /presentations/verify', () => {
  const presentation = { '@context': [v2], type: ['VerifiablePresentation'] }
  const occasion = { challenge: 'c-1', domain: 'example.org' }

  it('signs for a challenge and a domain, and holds to them', async () => {
    const { status, body } = await post('/presentations', {
      presentation: { ...presentation, verifiableCredential: [await issued()] },
      options: occasion
    })
    expect(status).toBe(201)
    const { verifiablePresentation } = body
    expect(verifiablePresentation).toMatchObject({
      holder: identity.did,
      proof: { ...occasion, proofPurpose: 'authentication' }
    })
    const ask = (options: object) => post('/presentations/verify', { verifiablePresentation, options })
    expect((await ask({ checks: [] })).body).toMatchObject({
      verified: true,
      credentialResults: [{ verified: true }]
    })
    expect((await ask(occasion)).status).toBe(200)
    expect((await ask({ ...occasion, challenge: 'c-2' })).body.code).toBe('PROOF_WRONG_CHALLENGE')
    expect((await ask({ ...occasion, domain: 'example.com' })).body.code).toBe('PROOF_WRONG_DOMAIN')
    expect((await ask({ subjectBinding: 'holder' })).body.code).toBe('SUBJECT_NOT_HOLDER')
  })

  it('refuses a presentation whose credential does not hold, and what is none', async () => {
    const forged = { ...(await issued()), credentialSubject: { id: 'did:example:other' } }
    const { body } = await post('/presentations', {
      presentation: { ...presentation, verifiableCredential: [forged] }
    })
    const answer = await post('/presentations/verify', {
      verifiablePresentation: body['verifiablePresentation']
    })
    expect(answer.body.code).toBe('CREDENTIAL_INVALID')
    expect(
      (await post('/presentations/verify', { verifiablePresentation: { type: ['Other'] } })).status
    ).toBe(400)
    expect((await post('/presentations/verify', {})).status).toBe(400)
    expect(
      (await post('/presentations', { presentation: { ...presentation, verifiableCredential: 'eyJ' } }))
        .status
    ).toBe(400)
  })
})

describe('what comes over the wire', () => {
  it('is JSON of one meaning, and no more than allowed', async () => {
    const small = createVcApi({ identity, maxBodyBytes: 200 })
    expect((await post('/credentials/issue', { credential }, small)).status).toBe(201)
    expect((await post('/credentials/issue', { credential, more: 'x'.repeat(200) }, small)).status).toBe(413)
    expect((await post('/credentials/issue', '{', api)).body['type']).toContain('#PARSING_ERROR')
    expect((await post('/credentials/issue', '[]', api)).status).toBe(400)
    expect(
      (await post('/credentials/verify', '{"verifiableCredential":{},"verifiableCredential":{}}')).body[
        'type'
      ]
    ).toContain('#PARSING_ERROR')
    expect(
      (await post('/credentials/verify', '{"verifiableCredential":{"__proto__":{}}}')).body['type']
    ).toContain('#PARSING_ERROR')
    expect(
      (await post('/credentials/issue', { credential }, api, { 'content-type': 'text/plain' })).status
    ).toBe(415)
  })

  it('has four routes that take POST', async () => {
    // The detail names the routes: whoever mounts the handler below a path sees what is amiss.
    expect(await post('/vc/credentials/issue', {})).toMatchObject({
      status: 404,
      body: { detail: expect.stringContaining('POST /credentials/issue, ') }
    })
    expect((await post('/credentials', {})).status).toBe(404)
    expect((await post('/__proto__', {})).status).toBe(404)
    const get = await api.fetch(new Request('http://localhost/credentials/issue'))
    expect([get.status, get.headers.get('allow')]).toEqual([405, 'POST'])
  })
})
