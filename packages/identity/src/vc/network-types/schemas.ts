import type { NetworkType } from './claims.ts'
import {
  date,
  dateTime,
  did,
  list,
  matching,
  number,
  oneOf,
  sha256,
  text,
  whole,
  type Schema
} from './fields.ts'

const day = 86_400_000

const period = { observedFrom: dateTime, observedUntil: dateTime }

function periodFault(claims: Readonly<Record<string, unknown>>): string | undefined {
  const [from, until] = [claims['observedFrom'], claims['observedUntil']] as [string, string]
  return Date.parse(from) <= Date.parse(until) ? undefined : '"observedUntil" is before "observedFrom"'
}

/** What the claims of each type have to be. */
export const networkSchemas: Readonly<Record<NetworkType, Schema>> = {
  FiduciaryPledgeCredential: {
    required: {
      pledgeName: text(128),
      pledgeHash: sha256,
      tiers: list(oneOf('protect', 'enhance', 'promote'), 3)
    },
    optional: {
      jurisdiction: matching(/^[A-Z]{2,3}(?:-[A-Z0-9]{1,3})?$/, 'a jurisdiction such as EU or US-CA')
    }
  },
  VerifiedNodeCredential: {
    required: {
      peerId: matching(/^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/, 'the peer id of an Ed25519 key'),
      checksPassed: list(matching(/^[a-z0-9][a-z0-9-]{0,31}$/, 'a name in lower case'), 16)
    }
  },
  UptimeCredential: {
    required: { ...period, probes: whole(1), probesAnswered: whole(0) },
    together: (claims) =>
      (claims['probesAnswered'] as number) > (claims['probes'] as number)
        ? '"probesAnswered" is more than "probes"'
        : periodFault(claims)
  },
  ThroughputCredential: {
    required: {
      ...period,
      model: text(128),
      tokensPerSecond: number(0, 1e9),
      tokens: whole(1),
      samples: whole(1)
    },
    optional: { modelHash: sha256 },
    together: (claims) =>
      (claims['samples'] as number) > (claims['tokens'] as number)
        ? '"samples" is more than "tokens"'
        : periodFault(claims)
  },
  PeerEndorsementCredential: { required: { interactionCount: whole(1) } },
  EventAttendeeCredential: { required: { eventName: text(128), eventDate: date } },
  MemberCredential: {
    required: { memberOf: text(128) },
    optional: { memberRole: text(64), memberSince: date }
  },
  RegionCredential: {
    required: { region: matching(/^[a-z0-9][a-z0-9-]{0,31}$/, 'a region such as eu') },
    optional: { country: matching(/^[A-Z]{2}$/, 'a country such as DE') }
  },
  RenewableEnergyCredential: {
    required: { ...period, renewablePercent: number(0, 100) },
    optional: {
      energySources: list(matching(/^[a-z][a-z-]{0,31}$/, 'a source such as solar'), 8),
      gramsCo2ePerKwh: number(0, 10_000)
    },
    together: periodFault
  },
  BindingCredential: { required: { boundTo: did }, optional: { bindingRole: oneOf('owner', 'operator') } },
  RotationCredential: {
    required: { rotatedFrom: did },
    optional: { rotationReason: oneOf('scheduled', 'lost-device', 'compromise') }
  }
}

/** How long a credential of a type may be valid at most, in milliseconds; it has to say an end. */
export const longestPeriods: Readonly<Partial<Record<NetworkType, number>>> = {
  // As KwaaiNet has it: projects/kwaai-trust, PeerEndorsementVC and SummitAttendeeVC.
  PeerEndorsementCredential: 90 * day,
  EventAttendeeCredential: 730 * day
}
