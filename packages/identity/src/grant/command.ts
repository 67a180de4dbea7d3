import { MAX_COMMAND_LENGTH } from './limits.ts'

/**
 * Whether a text is a command: `/` alone, or segments of lower-case letters, digits, `.`, `_` and `-` that each begin
 * with a slash (UCAN 1.0.0-rc.1, Command, within ASCII).
 */
export function isCommand(text: unknown): text is string {
  return (
    typeof text === 'string' &&
    text.length <= MAX_COMMAND_LENGTH &&
    (text === '/' || /^(?:\/[a-z0-9][a-z0-9._-]*)+$/.test(text))
  )
}

/** Whether a command covers another: it is the same, or whole segments before it. `/` covers all. */
export function coversCommand(command: string, other: string): boolean {
  return command === '/' || other === command || other.startsWith(`${command}/`)
}
