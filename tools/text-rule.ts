import type { TextFile } from './repository.ts'

/** A thing that has no business in the repository. */
interface Rule {
  what: string
  pattern: RegExp
  /** Paths the rule looks at; all when left out. */
  in?: RegExp
  /** Paths it passes over. */
  except?: RegExp
}

/** Joins what this file must not hold in one piece, or it would find itself. */
const word = (...parts: string[]): string => parts.join('')

const code =
  /^(packages|examples|benchmarks|docs-site|tools|\.ci)\/.*\.(ts|mts|mjs|js|sh|proto|css|html)$|^\.ci\//
const library = /^packages\/[a-z]+\/src\//
const test = /\.(spec|deep)\.ts$/

const rules: readonly Rule[] = [
  {
    what: 'a path of one machine',
    pattern: new RegExp(
      `(^|[^\\w.])/(${word('wo', 'rk')}|${word('fa', 'rm')}|${word('ro', 'ot')}|home/[a-z]+|tmp/[a-z])\\b`
    )
  },
  {
    what: 'a registry host',
    pattern: new RegExp(
      `${word('registry.', 'npmjs')}|${word('registry.', 'yarnpkg')}|${word('artifact', 'ory')}|${word('verdac', 'cio')}`,
      'i'
    )
  },
  {
    what: 'a tool that helped to write it',
    pattern: new RegExp(
      `\\b(${word('cla', 'ude')}|${word('anthro', 'pic')}|${word('chat', 'gpt')}|${word('co', 'pilot')})\\b`,
      'i'
    )
  },
  {
    what: 'a private page',
    pattern: new RegExp(`\\b${word('DESIGN', '\\.md')}\\b|\\b${word('fac', 'ts/')}[a-z-]+\\b`)
  },
  {
    what: 'an unfinished word',
    pattern: new RegExp(
      `\\b(${word('TO', 'DO')}|${word('FIX', 'ME')}|${word('XX', 'X')}|[Nn]ot (yet )?${word('imple', 'mented')}|[Ss]${word('tub', 'bed')})\\b`
    ),
    in: code
  },
  {
    what: 'a type given up',
    pattern: new RegExp(
      `@ts-${word('ig', 'nore')}|@ts-${word('expect', '-error')}|${word('as unknown', ' as')}`
    ),
    in: /^(packages|tools|examples|benchmarks)\/.*\.ts$/,
    // A test may hand over what the types forbid, to see it refused.
    except: /\/test\/|^tools\/text/
  },
  {
    what: 'time or randomness that is no component',
    pattern: /\bDate\.now\(|\bMath\.random\(|\bnew Date\(\)|\bset(Timeout|Interval)\(|\bperformance\.now\(/,
    in: library,
    // The system's own clock, and the composition root, which hands it out.
    except: /^packages\/(interface\/src\/memory|node\/src)\//
  },
  {
    what: 'a test that is skipped, focused or repeated until it holds',
    pattern: /\b(test|it|describe)\.(skip|only|todo|fails)\b|\bretry: *[1-9]/,
    in: test,
    except: /^tools\/text/
  }
]

/** Every line that holds what it must not: `path:line: what`. */
export function textViolations({ path, text }: TextFile): string[] {
  const applying = rules.filter(
    (rule) => (rule.in?.test(path) ?? true) && !(rule.except?.test(path) ?? false)
  )
  if (applying.length === 0) return []
  return text
    .split('\n')
    .flatMap((line, index) =>
      applying
        .filter((rule) => rule.pattern.test(line))
        .map((rule) => `${path}:${index + 1}: ${rule.what}: ${line.trim().slice(0, 100)}`)
    )
}
