import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse, print } from 'graphql'
import { resumable } from '../src/resume.js'

function sent(query, results, variables) {
  const { payload, saw } = resumable({ query, variables })
  for (const result of results) saw(result)
  return { query: print(parse(payload.query)), variables: payload.variables }
}

const same = (a, b) => assert.equal(a, print(parse(b)))

test('a subscription goes on after the last version seen', () => {
  const { query } = sent('subscription { balanceChanged(accountId: "a", afterVersion: 0) { version } }', [
    { data: { balanceChanged: { version: 2 } } },
    { data: { balanceChanged: { version: 3 } } },
  ])
  same(query, 'subscription { balanceChanged(accountId: "a", afterVersion: 3) { version } }')
})

test('one that began with the next change goes on after the last version seen', () => {
  const { query } = sent('subscription { balanceChanged(accountId: "a") { version } }', [
    { data: { balanceChanged: { version: 7 } } },
  ])
  same(query, 'subscription { balanceChanged(accountId: "a", afterVersion: 7) { version } }')
})

test('a version given as a variable is resumed through that variable', () => {
  const text = 'subscription ($n: Int) { balanceChanged(accountId: "a", afterVersion: $n) { version } }'
  const { query, variables } = sent(text, [{ data: { balanceChanged: { version: 4 } } }], { n: 1, other: true })
  same(query, text)
  assert.deepEqual(variables, { n: 4, other: true })
})

test('aliases are followed', () => {
  const { query } = sent('subscription { b: balanceChanged(accountId: "a") { newBalance version: reason v: version } }', [
    { data: { b: { version: 'Rent', v: 5 } } },
  ])
  assert.match(query, /afterVersion: 5/)
})

test('before the first change, and after errors, the request is unchanged', () => {
  const text = 'subscription { balanceChanged(accountId: "a", afterVersion: 0) { version } }'
  same(sent(text, []).query, text)
  same(sent(text, [{ errors: [{ message: 'no' }] }, { data: null }]).query, text)
})

test('what does not tell versions is sent again as it was', () => {
  for (const text of [
    'subscription { balanceChanged(accountId: "a", afterVersion: 0) { newBalance } }',
    'subscription { transactionUpdated(id: "t") { version: id } }',
  ]) {
    same(sent(text, [{ data: { balanceChanged: { newBalance: '1.00' }, transactionUpdated: { version: 9 } } }]).query, text)
  }
})
