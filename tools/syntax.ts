import { Visitor, parseSync } from 'vite'
import type { TextFile } from './repository.ts'

/** One mention of another module. */
export interface Import {
  specifier: string
  /** Counted from 1. */
  line: number
}

/** What the gates want to know of one TypeScript file. */
export interface FileFacts {
  /** Static, dynamic, type-only and re-exported modules; `import('x').T` in types; `require('x')`. */
  imports: Import[]
  /** True when the file holds nothing but re-exports. */
  door: boolean
  /** What the file exports without a documentation comment: a line and a name each. */
  undocumented: { name: string; line: number }[]
  /** Lines that wait at the top level of the module. */
  topLevelAwaits: number[]
  /** Error codes (`ERR_…`) anywhere in the code, as strings or constants, comments excluded. */
  codes: Set<string>
  /** Error codes handed to the constructor of an error. */
  thrown: Set<string>
}

interface Node {
  type: string
  start: number
  end: number
}

const codePattern = /^ERR_[A-Z0-9_]+$/

/** Reads one TypeScript file with the parser that runs the tests, so both see the same language. */
export function factsOf({ path, text }: TextFile): FileFacts {
  const { program, errors } = parseSync(path, text)
  if (errors.length > 0) throw new Error(`Cannot read ${path}: ${errors[0]?.message}`)
  const lineAt = (offset: number): number => text.slice(0, offset).split('\n').length
  const facts: FileFacts = {
    imports: [],
    door: program.body.every(
      (statement) =>
        statement.type === 'ExportAllDeclaration' ||
        (statement.type === 'ExportNamedDeclaration' && statement.source !== null)
    ),
    undocumented: [],
    topLevelAwaits: [],
    codes: new Set(),
    thrown: new Set()
  }
  const described = new Set<string>()
  for (const statement of program.body) {
    if (statement.type !== 'ExportNamedDeclaration' || statement.declaration === null) continue
    // A note to a tool may stand between the comment and what it describes.
    const before = text.slice(0, statement.start).replace(/(\n *\/\/.*)+\n?$/, '\n')
    const hasComment = /\*\/\s*$/.test(before) && commentStart(before) === '/**'
    for (const name of namesOf(statement.declaration)) {
      if (hasComment) described.add(name)
      // The overloads of a function share the words of the first.
      else if (!described.has(name)) facts.undocumented.push({ name, line: lineAt(statement.start) })
    }
  }
  const add = (node: unknown): void => {
    if (isString(node)) facts.imports.push({ specifier: node.value, line: lineAt(node.start) })
  }
  let functions = 0
  let constructions = 0
  const enter = (): void => void functions++
  const leave = (): void => void functions--
  // A code may stand as a string or as the constant of its name.
  const note = (name: string): void => {
    if (!codePattern.test(name)) return
    facts.codes.add(name)
    if (constructions > 0) facts.thrown.add(name)
  }
  new Visitor({
    ImportDeclaration: (node) => add(node.source),
    ExportAllDeclaration: (node) => add(node.source),
    ExportNamedDeclaration: (node) => add(node.source),
    ImportExpression: (node) => add(node.source),
    TSImportType: (node) => add(node.source),
    TSExternalModuleReference: (node) => add(node.expression),
    CallExpression: (node) => {
      if (node.callee.type === 'Identifier' && node.callee.name === 'require') add(node.arguments[0])
    },
    FunctionDeclaration: enter,
    'FunctionDeclaration:exit': leave,
    FunctionExpression: enter,
    'FunctionExpression:exit': leave,
    ArrowFunctionExpression: enter,
    'ArrowFunctionExpression:exit': leave,
    AwaitExpression: (node) => {
      if (functions === 0) facts.topLevelAwaits.push(lineAt(node.start))
    },
    ForOfStatement: (node) => {
      if (functions === 0 && node.await) facts.topLevelAwaits.push(lineAt(node.start))
    },
    NewExpression: (node) => {
      if (isError(node.callee)) constructions++
    },
    'NewExpression:exit': (node) => {
      if (isError(node.callee)) constructions--
    },
    Literal: (node) => {
      if (isString(node)) note(node.value)
    },
    Identifier: (node) => note(node.name)
  }).visit(program)
  return facts
}

/** The first three characters of the last comment in a text. */
function commentStart(text: string): string {
  const start = text.lastIndexOf('/*')
  return text.slice(start, start + 3)
}

/** The names that an exported declaration declares. */
function namesOf(declaration: object): string[] {
  const declarators: unknown[] =
    'declarations' in declaration && Array.isArray(declaration.declarations)
      ? declaration.declarations
      : [declaration]
  return declarators.flatMap((declarator) => {
    if (typeof declarator !== 'object' || declarator === null || !('id' in declarator)) return []
    const { id } = declarator
    return typeof id === 'object' && id !== null && 'name' in id && typeof id.name === 'string'
      ? [id.name]
      : []
  })
}

function isString(node: unknown): node is Node & { value: string } {
  return typeof node === 'object' && node !== null && 'value' in node && typeof node.value === 'string'
}

function isError(node: Node): boolean {
  return 'name' in node && typeof node.name === 'string' && node.name.endsWith('Error')
}
