import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'graphql'
import { fillVariables, idsIn } from '../src/variables.js'

const now = Date.parse('2026-01-31T12:00:00.500Z')

function operation(source) {
  return parse(source).definitions[0]
}

test('moments are counted back from the run', () => {
  const query = operation('query ($now: DateTime!, $aMinuteAgo: DateTime, $anHourAgo: DateTime) { a }')
  assert.deepEqual(fillVariables(query, undefined, { now }), {
    now: '2026-01-31T12:00:00.500Z',
    aMinuteAgo: '2026-01-31T11:59:00.500Z',
    anHourAgo: '2026-01-31T11:00:00.500Z',
  })
})

test('what is set by hand stays', () => {
  const query = operation('query ($aMinuteAgo: DateTime, $holdId: ID!, $x: Int) { a }')
  const byHand = { aMinuteAgo: null, holdId: 'mine', x: 1 }
  assert.deepEqual(fillVariables(query, byHand, { now, ids: { holdId: 'h' } }), byHand)
})

test('variables that the operation does not declare are not sent', () => {
  assert.deepEqual(fillVariables(operation('{ a }'), {}, { now, ids: { transactionId: 't' } }), {})
})

test('an id that nothing made yet is asked for by the example that makes it', () => {
  for (const [id, maker] of Object.entries({ transactionId: 'Transfer', paymentId: 'Pay', holdId: 'AuthorizeHold' })) {
    const needs = operation(`query ($${id}: ID!) { a }`)
    assert.throws(() => fillVariables(needs, {}, { now, ids: { [id]: null } }), new RegExp(`run ${maker} first`))
    assert.deepEqual(fillVariables(needs, {}, { now, ids: { [id]: 'x' } }), { [id]: 'x' })
  }
})

test('a document that cannot be read is sent as it is', () => {
  assert.deepEqual(fillVariables(undefined, { x: 1 }, { now }), { x: 1 })
})

test('the last transaction of an answer is found under any name, in a batch too', () => {
  const rent = operation('mutation { rent: transfer { transaction { id } } more: topUp { transaction { id } } }')
  assert.deepEqual(idsIn(rent, { data: { rent: { transaction: { id: 't' } } } }), { transactionId: 't' })
  assert.deepEqual(idsIn(rent, { data: { rent: { transaction: { id: 't' } }, more: { transaction: { id: 'u' } } } }), {
    transactionId: 'u',
  })
  const batch = operation('mutation { submitBatch { results { transaction { id } } } }')
  const results = [{ transaction: { id: 't' } }, { transaction: { id: 'u' } }, { transaction: null }]
  assert.deepEqual(idsIn(batch, { data: { submitBatch: { results } } }), { transactionId: 'u' })
})

test('a payment and a hold are remembered by what made them, not by what used them', () => {
  const answer = (transaction, hold) => ({ data: { a: { transaction, hold } } })
  const t = { id: 't' }
  const h = { id: 'h' }
  assert.deepEqual(idsIn(operation('mutation { a: pay { a } }'), answer(t)), { transactionId: 't', paymentId: 't' })
  assert.deepEqual(idsIn(operation('mutation { a: refund { a } }'), answer(t)), { transactionId: 't' })
  assert.deepEqual(idsIn(operation('mutation { a: authorizeHold { a } }'), answer(null, h)), { holdId: 'h' })
  assert.deepEqual(idsIn(operation('mutation { a: captureHold { a } }'), answer(t, h)), { transactionId: 't' })
})

test('a refusal or an error tells of nothing', () => {
  const pay = operation('mutation { pay { transaction { id } } }')
  assert.deepEqual(idsIn(pay, { data: { pay: { transaction: null } } }), {})
  assert.deepEqual(idsIn(pay, { data: { pay: null }, errors: [] }), {})
  assert.deepEqual(idsIn(pay, { errors: [] }), {})
})
