import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { OperationTypeNode } from 'graphql'
import { wentWell } from '../src/runs.js'
import { fillVariables, idsIn } from '../src/variables.js'
import { examples, readmeBlocks } from './material.js'
import { startServer } from './server.js'

// How long the answer to a query may take to be that of the README: reads follow writes a moment later. Milliseconds.
const PATIENCE = 20_000

let server

before(async () => {
  server = await startServer()
})

after(() => server?.stop())

test('all examples run one after the other on fresh data, and answer what the README says', async (t) => {
  const answers = readmeBlocks('json').map((text) => JSON.parse(text))
  const ids = {}
  for (const [i, example] of examples.entries()) {
    await t.test(example.name, async () => {
      const result = await runUntil(example, ids, answers[i])
      assert.ok(wentWell(result), JSON.stringify(result))
      assert.deepEqual(steady(result), steady(answers[i]))
      Object.assign(ids, idsIn(example.operations[0], result))
    })
  }
})

test('mutations run again answer the same and change nothing', async () => {
  const versions = async () => (await send('{ accounts { edges { node { id version } } } }')).data
  const first = await versions()
  const ids = {}
  for (const example of examples.filter(({ operations }) => operations[0].operation === OperationTypeNode.MUTATION)) {
    const result = await run(example, ids)
    assert.ok(wentWell(result), `${example.name}: ${JSON.stringify(result)}`)
    Object.assign(ids, idsIn(example.operations[0], result))
  }
  assert.deepEqual(await versions(), first)
})

/** Runs an example, a query until it answers what is wanted, and gives the last answer. */
async function runUntil(example, ids, wanted) {
  const deadline = Date.now() + PATIENCE
  for (;;) {
    const result = await run(example, ids)
    const reads = example.operations[0].operation === OperationTypeNode.QUERY
    if (!reads || same(steady(result), steady(wanted)) || Date.now() > deadline) return result
    await sleep(50)
  }
}

function run({ query, operations: [operation], name }, ids) {
  const variables = fillVariables(operation, {}, { now: Date.now(), ids })
  const watches = operation.operation === OperationTypeNode.SUBSCRIPTION
  return watches ? lastEvent(query, variables, name) : send(query, variables)
}

function post(query, variables, accept) {
  return fetch(new URL('graphql', server.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept },
    body: JSON.stringify({ query, variables }),
  })
}

async function send(query, variables) {
  return (await post(query, variables, 'application/json')).json()
}

/** The last result of a subscription, which is over when it completes or is silent for a while. */
async function lastEvent(query, variables, name) {
  const response = await post(query, variables, 'text/event-stream')
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const patience = /^event: next$/m.test(text) ? 1_000 : PATIENCE
    const { value, done } = await Promise.race([reader.read(), sleep(patience, { done: true }, { ref: false })])
    if (done) break
    text += value
  }
  await reader.cancel()
  const events = [...text.matchAll(/^event: next\ndata: (.*)$/gm)]
  assert.notEqual(events.length, 0, `${name} sent nothing but ${text}`)
  return JSON.parse(events.at(-1)[1])
}

const UNSTEADY = {
  id: /^[0-9a-f]{8}-[0-9a-f]{4}-/,
  moment: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/,
  // Whether another partition was quicker than the answer.
  status: /^(PENDING|COMPLETED)$/,
  offset: /^\d+$/,
}

// Cursors hold ids.
const UNSTEADY_KEYS = ['endCursor']

/** An answer with what differs from run to run replaced by what kind of thing it is. */
function steady(answer) {
  return JSON.parse(JSON.stringify(answer), (key, value) => {
    if (UNSTEADY_KEYS.includes(key)) return '<cursor>'
    const kind = typeof value === 'string' && Object.keys(UNSTEADY).find((kind) => UNSTEADY[kind].test(value))
    return kind ? `<${kind}>` : value
  })
}

function same(a, b) {
  return JSON.stringify(a) === JSON.stringify(b)
}
