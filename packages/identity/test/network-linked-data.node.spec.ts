import { expect, test } from 'vitest'
import { createIdentity } from '../src/index.ts'
import { createEddsaRdfc2022 } from '../src/vc-ld/index.ts'
import { issue, KWAAI_CONTEXT, networkCredential, verify, type Credential } from '../src/vc/index.ts'

const now = Date.parse('2026-11-01T00:00:00Z')
const issuer = createIdentity({ seed: new Uint8Array(32).fill(1) })
const node = createIdentity({ seed: new Uint8Array(32).fill(2) })
const period = { observedFrom: '2026-10-01T00:00:00Z', observedUntil: '2026-11-01T00:00:00Z' }

// Linked data in safe mode refuses every term that is not declared.
test('the context means something to linked data: numbers, dates, names and lists are signed and verified', async () => {
  const suite = createEddsaRdfc2022()
  const made: Credential[] = [
    networkCredential({
      type: 'ThroughputCredential',
      issuer: issuer.did,
      subject: node.did,
      claims: { ...period, model: 'm', tokensPerSecond: 33.5, tokens: 90, samples: 9 },
      validFrom: now
    }),
    networkCredential({
      type: 'FiduciaryPledgeCredential',
      issuer: issuer.did,
      subject: node.did,
      claims: { pledgeName: 'v1', pledgeHash: 'a'.repeat(64), tiers: ['protect', 'promote'] },
      validFrom: now
    }),
    networkCredential({
      type: 'BindingCredential',
      issuer: issuer.did,
      subject: node.did,
      claims: { boundTo: issuer.did },
      validFrom: now
    })
  ]
  for (const credential of made) {
    const signed = await issue(credential, issuer, { suite, now })
    expect(await verify(signed, { suites: [suite], now })).toMatchObject({ ok: true })
    const subject = signed.credentialSubject as Record<string, unknown>
    const [claim] = Object.keys(subject).filter((name) => name !== 'id') as [string]
    const changed = { ...signed, credentialSubject: { ...subject, [claim]: 'changed' } }
    expect((await verify(changed, { suites: [suite], now })).ok).toBe(false)
  }
})

test('no other context may give its terms another meaning', async () => {
  const credential = networkCredential({
    type: 'MemberCredential',
    issuer: issuer.did,
    subject: node.did,
    claims: { memberOf: 'Kwaai' },
    validFrom: now
  })
  const contexts = [
    'https://www.w3.org/ns/credentials/v2',
    KWAAI_CONTEXT,
    { memberOf: 'https://example.org/foe' }
  ]
  await expect(issue({ ...credential, '@context': contexts }, issuer, { now })).rejects.toMatchObject({
    code: 'ERR_IDENTITY_INVALID_CREDENTIAL'
  })
})
