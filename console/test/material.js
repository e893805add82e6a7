// What the tests of the examples work on: the examples themselves, the schema, and what the README shows.
import { readdirSync, readFileSync } from 'node:fs'
import { buildSchema, Kind, parse } from 'graphql'
import { grouped } from '../src/groups.js'

const text = (path) => readFileSync(new URL(path, import.meta.url), 'utf8')

export const schema = buildSchema(text('../../schema.graphqls'))

const files = readdirSync(new URL('../examples/', import.meta.url))

/** The examples by group, as the page has them. */
export const groups = grouped(Object.fromEntries(files.map((file) => [file, text(`../examples/${file}`)])))

/** All examples in order: `{ name, query, document, operations }`. */
export const examples = groups.flatMap((group) => group.examples).map((example) => {
  const document = parse(example.query)
  const operations = document.definitions.filter((d) => d.kind === Kind.OPERATION_DEFINITION)
  return { ...example, document, operations }
})

export const exampleFiles = files

const readme = text('../../README.md')

/** The README's blocks of code in a language. */
export function readmeBlocks(language) {
  return [...readme.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(([, block]) => block)
}
