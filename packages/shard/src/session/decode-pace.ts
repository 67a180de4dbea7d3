import type { KvHandle } from '@kwaai/interface'

/** How far a new measurement moves what counts as usual. */
const smoothing = 0.25

/**
 * How the time of a batch of single rows grows with their number, as a power: with Q4_1 weights on ggml two rows
 * take 1.2 to 1.4 times as long as one, four 1.7 to 1.95, eight 2.0 to 2.7.
 */
const batchPower = 0.4

/** How often the sessions that generate come by, and how long their rows take. */
export interface DecodePace {
  /** Sessions that have generated. */
  readonly sessions: number
  /** Milliseconds a batch of so many generated rows is expected to take; 0 while nothing is known. */
  batchMs(rows: number): number
  arrived(session: KvHandle, now: number): void
  computed(rows: number, ms: number): void
  forget(session: KvHandle): void
  /** Sessions that generate now: a step waits, or the last one came within two usual token times. */
  active(now: number, waits: (session: KvHandle) => boolean): number
  /** The share of its time a runner would compute for so many sessions if it took each row alone. */
  load(active: number): number
  /**
   * True when a step of a session that has none waiting is due before `until`. Sessions that come earlier or later
   * than they should by more than `slackMs` are not counted on.
   */
  expects(now: number, until: number, slackMs: number, waits: (session: KvHandle) => boolean): boolean
}

interface Habit {
  lastAt: number
  /** Usual milliseconds from one step to the next; 0 after the first step. */
  gapMs: number
  /** How far from it they usually are. */
  spreadMs: number
}

/** Measures, and decides nothing. */
export function createDecodePace(): DecodePace {
  const habits = new Map<KvHandle, Habit>()
  let rowMs = 0
  let usualGapMs = 0

  const gapOf = (habit: Habit): number => (habit.gapMs === 0 ? usualGapMs : habit.gapMs)

  return {
    get sessions() {
      return habits.size
    },
    batchMs: (rows) => rowMs * rows ** batchPower,
    arrived(session, now) {
      const habit = habits.get(session)
      if (habit === undefined) {
        habits.set(session, { lastAt: now, gapMs: 0, spreadMs: 0 })
        return
      }
      const since = now - habit.lastAt
      // A pause between two answers says little about the time between two tokens.
      const gap = habit.gapMs === 0 ? since : Math.min(since, 4 * habit.gapMs)
      if (habit.gapMs > 0) habit.spreadMs += smoothing * (Math.abs(gap - habit.gapMs) - habit.spreadMs)
      habit.lastAt = now
      habit.gapMs = towards(habit.gapMs, gap)
      usualGapMs = towards(usualGapMs, habit.gapMs)
    },
    computed(rows, ms) {
      rowMs = towards(rowMs, ms / rows ** batchPower)
    },
    forget(session) {
      habits.delete(session)
    },
    active(now, waits) {
      let count = 0
      for (const [session, habit] of habits) {
        if (now - habit.lastAt <= 2 * gapOf(habit) || waits(session)) count++
      }
      return count
    },
    load: (active) => (usualGapMs === 0 ? 0 : (active * rowMs) / usualGapMs),
    expects(now, until, slackMs, waits) {
      for (const [session, habit] of habits) {
        if (habit.spreadMs > slackMs || waits(session)) continue
        const due = habit.lastAt + gapOf(habit)
        if (due <= until && now <= due + slackMs) return true
      }
      return false
    }
  }
}

function towards(usual: number, value: number): number {
  return usual === 0 ? value : usual + smoothing * (value - usual)
}
