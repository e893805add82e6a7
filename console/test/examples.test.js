import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { buildSchema, Kind, parse, print, TypeInfo, validate, visit, visitWithTypeInfo } from 'graphql'
import { fillVariables } from '../src/variables.js'

const folder = new URL('../examples/', import.meta.url)
const schema = buildSchema(readFileSync(new URL('../../schema.graphqls', import.meta.url), 'utf8'))
const known = { now: Date.parse('2026-01-31T12:00:00Z'), lastTransaction: '123e4567-e89b-42d3-a456-426614174000' }

const examples = readdirSync(folder)
  .sort()
  .map((file) => {
    const document = parse(readFileSync(new URL(file, folder), 'utf8'))
    const operations = document.definitions.filter((d) => d.kind === Kind.OPERATION_DEFINITION)
    return { file, document, operations }
  })

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
const blocks = (language) => [...readme.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(([, text]) => text)

test('the README walks through the examples, in their order and by the same operations', () => {
  const walk = blocks('graphql').map((text) => print(parse(text)))
  assert.deepEqual(
    walk,
    examples.map(({ document }) => print(document)),
  )
})

test('the README gives an answer to each step, with the fields it asks for', () => {
  const answers = blocks('json').map((text) => JSON.parse(text))
  assert.deepEqual(
    answers.map(({ data }) => Object.keys(data)),
    examples.map(({ operations }) => operations[0].selectionSet.selections.map((s) => (s.alias ?? s.name).value)),
  )
})

for (const { file, document, operations } of examples) {
  test(`${file} is valid against the schema`, () => {
    assert.deepEqual(validate(schema, document).map(String), [])
  })

  test(`${file} holds one operation, so that the run button asks nothing`, () => {
    assert.equal(operations.length, 1)
  })

  test(`${file} runs as it is: what it leaves open, the page fills in`, () => {
    const declared = operations[0].variableDefinitions.map(({ variable }) => variable.name.value)
    assert.deepEqual(Object.keys(fillVariables(operations[0], {}, known)), declared)
  })

  test(`${file} asks for userErrors wherever there can be some`, () => {
    const types = new TypeInfo(schema)
    visit(
      document,
      visitWithTypeInfo(types, {
        SelectionSet(set) {
          const offers = 'userErrors' in (types.getParentType().getFields?.() ?? {})
          const asks = set.selections.some((s) => s.name?.value === 'userErrors')
          assert.equal(asks, offers)
        },
      }),
    )
  })
}
