import type { JsonObject } from '../json.ts'

/** Where the network's terms are declared. Nobody fetches it: the context is bundled. */
export const KWAAI_CONTEXT = 'https://kwaai.ai/credentials/v2'

const vocabulary = `${KWAAI_CONTEXT}#`
const xsd = 'http://www.w3.org/2001/XMLSchema#'
const plain = (names: readonly string[]): JsonObject =>
  Object.fromEntries(names.map((name) => [name, vocabulary + name]))
const typed = (type: string, names: readonly string[]): JsonObject =>
  Object.fromEntries(names.map((name) => [name, { '@id': vocabulary + name, '@type': type }]))

/** The context of the network's credentials: every type and claim, none of which another context may redefine. */
export const kwaaiV2: JsonObject = {
  '@context': {
    '@protected': true,
    ...plain([
      'FiduciaryPledgeCredential',
      'VerifiedNodeCredential',
      'UptimeCredential',
      'ThroughputCredential',
      'PeerEndorsementCredential',
      'EventAttendeeCredential',
      'MemberCredential',
      'RegionCredential',
      'RenewableEnergyCredential',
      'BindingCredential',
      'RotationCredential'
    ]),
    // Another name of the same thing, which is read and never written.
    SummitAttendeeCredential: `${vocabulary}EventAttendeeCredential`,
    ...plain([
      'pledgeName',
      'pledgeHash',
      'tiers',
      'jurisdiction',
      'peerId',
      'checksPassed',
      'probes',
      'probesAnswered',
      'model',
      'modelHash',
      'tokens',
      'tokensPerSecond',
      'samples',
      'interactionCount',
      'eventName',
      'memberOf',
      'memberRole',
      'region',
      'country',
      'renewablePercent',
      'energySources',
      'gramsCo2ePerKwh',
      'bindingRole',
      'rotationReason'
    ]),
    ...typed(`${xsd}dateTime`, ['observedFrom', 'observedUntil']),
    ...typed(`${xsd}date`, ['eventDate', 'memberSince']),
    ...typed('@id', ['boundTo', 'rotatedFrom'])
  }
}
