/** xgrammar, the engine servers use, as an oracle: the same expressions written in its EBNF, masks compared. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { compileFunction } from 'node:vm'
import type { GrammarMatcher } from '@mlc-ai/web-xgrammar'
import type { GrammarVocabulary } from '../src/generate/grammar.ts'
import {
  choice,
  isNever,
  never,
  repeat,
  sequence,
  type Expression,
  type Grammar
} from '../src/grammar/expression.ts'

type Xgrammar = typeof import('@mlc-ai/web-xgrammar')

/** Its file is UMD in a package of modules: neither `import` nor `require` takes it, so it is run as it means to be. */
function load(): Xgrammar {
  const path = createRequire(import.meta.url).resolve('@mlc-ai/web-xgrammar')
  const require = createRequire(path)
  const module = { exports: {} }
  const run = compileFunction(
    // In Node.js it asks for one module by a dynamic import, which code run like this has not.
    readFileSync(path, 'utf8').replace("await import('module')", "require('module')"),
    ['exports', 'module', 'require', '__filename'],
    { filename: path }
  )
  run.call(module.exports, module.exports, module, require, path)
  return module.exports as Xgrammar
}

/** Compiles grammars with xgrammar. */
export async function xgrammarCompiler(
  vocabulary: GrammarVocabulary
): Promise<{ start(grammar: Grammar): Promise<GrammarMatcher> }> {
  const xgrammar = load()
  const words = Array.from({ length: vocabulary.size }, (_, token) =>
    vocabulary.isControl(token) ? '' : byteLevel(vocabulary.bytes(token))
  )
  const info = await xgrammar.TokenizerInfo.createTokenizerInfo(words, 'byte_level', false, vocabulary.size, [
    ...vocabulary.endTokens
  ])
  const compiler = await xgrammar.GrammarCompiler.createGrammarCompiler(info, false)
  return {
    start: async (grammar) =>
      xgrammar.GrammarMatcher.createGrammarMatcher(await compiler.compileGrammar(ebnf(grammar)))
  }
}

// GPT-2's printable alphabet for bytes.
function byteLevel(bytes: Uint8Array): string {
  let next = 0x100
  const alphabet = Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
    return String.fromCharCode(printable ? byte : next++)
  })
  return Array.from(bytes, (byte) => alphabet[byte]).join('')
}

/** EBNF has no word for what no text follows, so what leads there is left out. */
function withoutNever(rules: ReadonlyMap<string, Expression>): ReadonlyMap<string, Expression> {
  const dead = new Set([...rules].filter(([, expression]) => isNever(expression)).map(([name]) => name))
  if (dead.size === 0) return rules
  const prune = (expression: Expression): Expression => {
    switch (expression.kind) {
      case 'rule':
        return dead.has(expression.name) ? never : expression
      case 'sequence':
        return sequence(...expression.items.map(prune))
      case 'choice':
        return choice(...expression.items.map(prune))
      case 'repeat':
        return repeat(prune(expression.item), expression.min, expression.max)
      default:
        return expression
    }
  }
  const living = [...rules].filter(([name]) => !dead.has(name))
  return withoutNever(new Map(living.map(([name, expression]) => [name, prune(expression)])))
}

function ebnf({ root, rules: all }: Grammar): string {
  const rules = withoutNever(all)
  const names = new Map([...rules.keys()].map((name, index) => [name, name === root ? 'root' : `r${index}`]))
  const hex = (byte: number): string => `\\x${byte.toString(16).padStart(2, '0')}`
  const print = (expression: Expression): string => {
    switch (expression.kind) {
      case 'bytes': {
        const ranges = expression.ranges.map(([from, to]) => `${hex(from)}-${hex(to)}`).join('')
        // A class of one character is taken for that character's UTF-8; written twice it is a byte.
        return `[${ranges}${ranges}]`
      }
      case 'sequence':
        return expression.items.length === 0 ? '""' : `(${expression.items.map(print).join(' ')})`
      case 'choice':
        return `(${expression.items.map(print).join(' | ')})`
      case 'repeat':
        return `(${print(expression.item)}){${expression.min},${expression.max === Infinity ? '' : expression.max}}`
      case 'rule':
        return names.get(expression.name) ?? ''
      case 'until':
        throw new Error('Tags are not compared')
    }
  }
  return [...rules].map(([name, expression]) => `${names.get(name)} ::= ${print(expression)}`).join('\n')
}
