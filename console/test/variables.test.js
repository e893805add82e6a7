import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'graphql'
import { fillVariables, transactionIn } from '../src/variables.js'

const now = Date.parse('2026-01-31T12:00:00.500Z')

function operation(source) {
  return parse(source).definitions[0]
}

test('aMinuteAgo is the moment one minute before the run', () => {
  const query = operation('query ($aMinuteAgo: DateTime) { a }')
  assert.deepEqual(fillVariables(query, undefined, { now }), { aMinuteAgo: '2026-01-31T11:59:00.500Z' })
})

test('what is set by hand stays', () => {
  const query = operation('query ($aMinuteAgo: DateTime, $x: Int) { a }')
  assert.deepEqual(fillVariables(query, { aMinuteAgo: null, x: 1 }, { now }), { aMinuteAgo: null, x: 1 })
})

test('variables that the operation does not declare are not sent', () => {
  assert.deepEqual(fillVariables(operation('{ a }'), {}, { now, lastTransaction: 't' }), {})
})

test('without a transaction made here, the reader is told what to do first', () => {
  const query = operation('subscription ($transactionId: ID!) { a }')
  assert.throws(() => fillVariables(query, {}, { now, lastTransaction: null }), /make a transaction first/)
  assert.deepEqual(fillVariables(query, {}, { now, lastTransaction: 't' }), { transactionId: 't' })
})

test('a document that cannot be read is sent as it is', () => {
  assert.deepEqual(fillVariables(undefined, { x: 1 }, { now }), { x: 1 })
})

test('the transaction of an answer is found under any name', () => {
  assert.equal(transactionIn({ data: { rent: { transaction: { id: 't' } } } }), 't')
  assert.equal(transactionIn({ data: { rent: { transaction: null } } }), undefined)
  assert.equal(transactionIn({ data: null, errors: [] }), undefined)
})
