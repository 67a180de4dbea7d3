import type { Did, PeerId } from '@kwaai/interface'

/** What a pledge binds to: to protect, to enhance, to promote the interests of the person served. */
export type PledgeTier = 'protect' | 'enhance' | 'promote'

/** Who signed a fiduciary pledge. */
export interface FiduciaryPledgeClaims {
  pledgeName: string
  /** SHA-256 of the pledge's text, 64 lower-case hexadecimal digits. */
  pledgeHash: string
  tiers: readonly PledgeTier[]
  /** Whose law it is under, such as `EU` or `US-CA`. */
  jurisdiction?: string
}

/** A node that the issuer has looked at. */
export interface VerifiedNodeClaims {
  /** The peer id of the subject's key. */
  peerId: PeerId
  /** What was looked at, such as `operator` or `hardware`. */
  checksPassed: readonly string[]
}

/** How often a node answered when it was asked. */
export interface UptimeClaims {
  /** XSD date times. */
  observedFrom: string
  observedUntil: string
  /** How often it was asked, and how often it answered. */
  probes: number
  probesAnswered: number
}

/** How fast a node computed. */
export interface ThroughputClaims {
  model: string
  /** SHA-256 of the model's file, 64 lower-case hexadecimal digits. */
  modelHash?: string
  /** The median of the samples. */
  tokensPerSecond: number
  /** Tokens of all samples together. */
  tokens: number
  /** Answers that were measured. */
  samples: number
  /** XSD date times. */
  observedFrom: string
  observedUntil: string
}

/** That dealings with a peer went well. */
export interface PeerEndorsementClaims {
  interactionCount: number
}

/** Who was at an event. */
export interface EventAttendeeClaims {
  eventName: string
  /** Such as `2026-05-14`. */
  eventDate: string
}

/** Who belongs to what. */
export interface MemberClaims {
  memberOf: string
  memberRole?: string
  /** Such as `2026-05-14`. */
  memberSince?: string
}

/** Where a node is. */
export interface RegionClaims {
  /** As adverts tell it: up to 32 lower-case letters, digits and `-`. */
  region: string
  /** ISO 3166-1 alpha-2, such as `DE`. */
  country?: string
}

/** Where a node's electricity comes from. */
export interface RenewableEnergyClaims {
  /** 0 to 100, of the electricity used in the period. */
  renewablePercent: number
  energySources?: readonly string[]
  gramsCo2ePerKwh?: number
  /** XSD date times. */
  observedFrom: string
  observedUntil: string
}

/** Who stands behind a node. The issuer is the controller, the subject the node; both sign. */
export interface BindingClaims {
  /** The controller: the issuer. */
  boundTo: Did
  bindingRole?: 'owner' | 'operator'
}

/** Which key takes the place of which. The issuer is the old one, the subject the new one; both sign. */
export interface RotationClaims {
  /** The old one: the issuer. */
  rotatedFrom: Did
  rotationReason?: 'scheduled' | 'lost-device' | 'compromise'
}

/** The claims of each type of the network. */
export interface NetworkClaims {
  FiduciaryPledgeCredential: FiduciaryPledgeClaims
  VerifiedNodeCredential: VerifiedNodeClaims
  UptimeCredential: UptimeClaims
  ThroughputCredential: ThroughputClaims
  PeerEndorsementCredential: PeerEndorsementClaims
  EventAttendeeCredential: EventAttendeeClaims
  MemberCredential: MemberClaims
  RegionCredential: RegionClaims
  RenewableEnergyCredential: RenewableEnergyClaims
  BindingCredential: BindingClaims
  RotationCredential: RotationClaims
}

/** The names of the network's types. */
export type NetworkType = keyof NetworkClaims
