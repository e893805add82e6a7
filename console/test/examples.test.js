import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse, print, TypeInfo, validate, visit, visitWithTypeInfo } from 'graphql'
import { fillVariables, IDS } from '../src/variables.js'
import { exampleFiles, examples, groups, readmeBlocks, schema } from './material.js'

const known = {
  now: Date.parse('2026-01-31T12:00:00Z'),
  ids: Object.fromEntries(IDS.map((id) => [id, '123e4567-e89b-42d3-a456-426614174000'])),
}

test('every file is an example of one of the groups, and no group is empty', () => {
  assert.equal(examples.length, exampleFiles.length)
  for (const group of groups) assert.notEqual(group.examples.length, 0, group.name)
})

test('no two examples have one name', () => {
  const names = examples.map(({ name }) => name)
  assert.deepEqual([...new Set(names)], names)
})

test('every operation of the schema is in an example', () => {
  const missing = operationFields().filter((field) => !used().has(field))
  assert.deepEqual(missing, [])
})

test('every field that takes arguments is in an example', () => {
  const missing = fieldsWithArguments().filter((field) => !used().has(field))
  assert.deepEqual(missing, [])
})

test('the README walks through the examples, in their order and by the same operations', () => {
  const walk = readmeBlocks('graphql').map((text) => print(parse(text)))
  assert.deepEqual(
    walk,
    examples.map(({ document }) => print(document)),
  )
})

test('the README gives an answer to each step, with the fields it asks for', () => {
  const answers = readmeBlocks('json').map((text) => JSON.parse(text))
  assert.deepEqual(
    answers.map(({ data }) => Object.keys(data)),
    examples.map(({ operations }) => operations[0].selectionSet.selections.map((s) => (s.alias ?? s.name).value)),
  )
})

for (const { name, document, operations } of examples) {
  test(`${name} is valid against the schema`, () => {
    assert.deepEqual(validate(schema, document).map(String), [])
  })

  test(`${name} holds one operation, so that the run button asks nothing`, () => {
    assert.equal(operations.length, 1)
  })

  test(`${name} runs as it is: what it leaves open, the page fills in`, () => {
    const declared = operations[0].variableDefinitions.map(({ variable }) => variable.name.value)
    assert.deepEqual(Object.keys(fillVariables(operations[0], {}, known)), declared)
  })

  test(`${name} asks for userErrors wherever there can be some`, () => {
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

function operationFields() {
  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]
  return roots.flatMap((type) => Object.keys(type.getFields()).map((field) => `${type}.${field}`))
}

function fieldsWithArguments() {
  const types = Object.values(schema.getTypeMap()).filter((type) => !type.name.startsWith('__') && type.getFields)
  return types.flatMap((type) =>
    Object.values(type.getFields())
      .filter((field) => field.args?.length)
      .map((field) => `${type}.${field.name}`),
  )
}

/** The fields that the examples ask for, as Type.field. */
function used() {
  const fields = new Set()
  for (const { document } of examples) {
    const types = new TypeInfo(schema)
    const Field = () => void fields.add(`${types.getParentType()}.${types.getFieldDef().name}`)
    visit(document, visitWithTypeInfo(types, { Field }))
  }
  return fields
}
