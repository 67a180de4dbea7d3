import { describe, expect, test } from 'vitest'
import { createIdentity } from '../src/index.ts'
import {
  addProof,
  bundledContexts,
  eddsaJcs2022,
  KWAAI_CONTEXT,
  networkCredential,
  readNetworkCredential,
  type Credential,
  type NetworkClaims,
  type NetworkType
} from '../src/vc/index.ts'

const identity = (seed: number): ReturnType<typeof createIdentity> =>
  createIdentity({ seed: new Uint8Array(32).fill(seed) })
const issuer = identity(1)
const node = identity(2)
const validFrom = Date.parse('2026-11-01T00:00:00Z')
const hash = 'a'.repeat(64)
const period = { observedFrom: '2026-10-01T00:00:00Z', observedUntil: '2026-11-01T00:00:00Z' }

const claims: NetworkClaims = {
  FiduciaryPledgeCredential: {
    pledgeName: 'GliaNet Fiduciary Pledge v1',
    pledgeHash: hash,
    tiers: ['protect', 'enhance'],
    jurisdiction: 'US-CA'
  },
  VerifiedNodeCredential: { peerId: node.peerId, checksPassed: ['operator'] },
  UptimeCredential: { ...period, probes: 744, probesAnswered: 740 },
  ThroughputCredential: {
    ...period,
    model: 'smollm2',
    modelHash: hash,
    tokensPerSecond: 33.5,
    tokens: 900,
    samples: 9
  },
  PeerEndorsementCredential: { interactionCount: 12 },
  EventAttendeeCredential: { eventName: 'Personal AI Summit', eventDate: '2026-05-14' },
  MemberCredential: { memberOf: 'Kwaai', memberRole: 'contributor', memberSince: '2026-01-01' },
  RegionCredential: { region: 'eu', country: 'DE' },
  RenewableEnergyCredential: {
    ...period,
    renewablePercent: 87.5,
    energySources: ['solar'],
    gramsCo2ePerKwh: 40
  },
  BindingCredential: { boundTo: issuer.did, bindingRole: 'operator' },
  RotationCredential: { rotatedFrom: issuer.did, rotationReason: 'scheduled' }
}
const types = Object.keys(claims) as NetworkType[]

function make<T extends NetworkType>(type: T, more: object = {}): Credential {
  return networkCredential({
    type,
    issuer: issuer.did,
    subject: node.did,
    validFrom,
    claims: { ...claims[type], ...more }
  })
}

const fault = (credential: Credential): string => {
  const read = readNetworkCredential(credential)
  return read.ok ? 'none' : read.message
}

describe.each(types)('%s', (type) => {
  test('comes back as it was made, signed and by way of JSON', async () => {
    const signed = await addProof(make(type), { signer: issuer, suite: eddsaJcs2022, created: validFrom })
    const read = readNetworkCredential(JSON.parse(JSON.stringify(signed)) as Credential)
    expect(read).toMatchObject({
      ok: true,
      credential: { type, issuer: issuer.did, subject: node.did, claims: claims[type], validFrom }
    })
  })

  test('has every claim declared in the context', () => {
    const terms = bundledContexts.get(KWAAI_CONTEXT)?.['@context'] as Record<string, unknown>
    expect(terms['@protected']).toBe(true)
    for (const name of [type, ...Object.keys(claims[type])]) expect(terms, name).toHaveProperty(name)
  })

  test('has no other claims, and none of the needed ones may be missing', () => {
    expect(
      fault({ ...make(type), credentialSubject: { id: node.did, ...claims[type], extra: 1 } })
    ).toContain('extra')
    expect(fault({ ...make(type), credentialSubject: { id: node.did } })).toContain('is missing')
    expect(fault({ ...make(type), credentialSubject: [{ id: node.did, ...claims[type] }] })).toContain(
      'one subject'
    )
    expect(fault({ ...make(type), credentialSubject: claims[type] as never })).toContain('subject is no DID')
  })
})

describe('a credential that breaks the schema', () => {
  test.each<[NetworkType, object, string]>([
    ['FiduciaryPledgeCredential', { pledgeHash: 'A'.repeat(64) }, 'pledgeHash'],
    ['FiduciaryPledgeCredential', { tiers: ['protect', 'protect'] }, 'twice'],
    ['FiduciaryPledgeCredential', { tiers: ['profit'] }, 'tiers'],
    ['FiduciaryPledgeCredential', { pledgeName: 'x\n' }, 'pledgeName'],
    ['VerifiedNodeCredential', { peerId: issuer.peerId }, 'peerId'],
    ['UptimeCredential', { probesAnswered: 745 }, 'probesAnswered'],
    ['UptimeCredential', { probes: 0.5 }, 'probes'],
    ['UptimeCredential', { observedFrom: '2026-12-01T00:00:00Z' }, 'observedUntil'],
    ['UptimeCredential', { observedFrom: '2026-02-30T00:00:00Z' }, 'observedFrom'],
    ['ThroughputCredential', { tokensPerSecond: -1 }, 'tokensPerSecond'],
    ['ThroughputCredential', { samples: 901 }, 'samples'],
    ['PeerEndorsementCredential', { interactionCount: 0 }, 'interactionCount'],
    ['EventAttendeeCredential', { eventDate: '2026-13-01' }, 'eventDate'],
    ['RegionCredential', { region: 'EU' }, 'region'],
    ['RenewableEnergyCredential', { renewablePercent: 101 }, 'renewablePercent'],
    ['BindingCredential', { boundTo: node.did }, 'boundTo'],
    ['RotationCredential', { rotatedFrom: node.did }, 'rotatedFrom']
  ])('%s %o is not made', (type, more, named) => {
    expect(() => make(type, more)).toThrow(
      expect.objectContaining({
        code: 'ERR_IDENTITY_NETWORK_CREDENTIAL_INVALID',
        message: expect.stringContaining(named) as string
      })
    )
  })

  test('is not read: other types, contexts or parties', () => {
    const good = make('UptimeCredential')
    expect(fault(good)).toBe('none')
    expect(fault({ ...good, type: ['VerifiableCredential'] })).toContain('type')
    expect(
      fault({ ...good, type: ['VerifiableCredential', 'UptimeCredential', 'MemberCredential'] })
    ).toContain('type')
    expect(fault({ ...good, type: ['VerifiableCredential', 'toString'] })).toContain('type')
    expect(fault({ ...good, '@context': ['https://www.w3.org/ns/credentials/v2'] })).toContain('contexts')
    const [v2, kwaai] = good['@context'] as string[]
    const examples = 'https://www.w3.org/ns/credentials/examples/v2'
    expect(fault({ ...good, '@context': [v2, examples, kwaai] } as Credential)).toContain('contexts')
    expect(fault({ ...good, issuer: 'https://example.org' })).toContain('issuer')
    expect(fault({ ...good, validFrom: 'yesterday' })).toContain('validFrom')
  })
})

describe('periods', () => {
  const make90 = (validUntil?: number): Credential =>
    networkCredential({
      type: 'PeerEndorsementCredential',
      issuer: issuer.did,
      subject: node.did,
      claims: { interactionCount: 1 },
      validFrom,
      ...(validUntil === undefined ? {} : { validUntil })
    })

  test('an endorsement holds 90 days, and who was at an event 730', () => {
    expect(make90().validUntil).toBe('2027-01-30T00:00:00Z')
    expect(make('EventAttendeeCredential').validUntil).toBe('2028-10-31T00:00:00Z')
    expect(make('MemberCredential').validUntil).toBeUndefined()
  })

  test('no longer, and with an end', () => {
    const invalid = expect.objectContaining({ code: 'ERR_IDENTITY_NETWORK_CREDENTIAL_INVALID' }) as Error
    expect(() => make90(validFrom + 91 * 86_400_000)).toThrow(invalid)
    const { validUntil: _, ...endless } = make90()
    expect(fault(endless)).toContain('90 days')
  })

  test('nobody endorses itself', () => {
    expect(fault({ ...make90(), credentialSubject: { id: issuer.did, interactionCount: 1 } })).toContain(
      'itself'
    )
  })
})

test('who was at the summit was at an event', () => {
  const credential = {
    ...make('EventAttendeeCredential'),
    type: ['VerifiableCredential', 'SummitAttendeeCredential']
  }
  expect(readNetworkCredential(credential)).toMatchObject({
    ok: true,
    credential: { type: 'EventAttendeeCredential' }
  })
})
