import { Kind, parse, print, visit } from 'graphql'

/**
 * A subscription request that knows how far it got. Sent again after a lost connection, it asks for what follows the
 * last version seen, so the server need not repeat and the reader sees no gap. The query must be well formed.
 *
 * `payload` is written out anew for each connection; `saw` is told of each result.
 */
export function resumable({ query, variables, operationName }) {
  const field = balanceChangedField(query, operationName)
  let last
  return {
    payload: {
      get query() {
        return last === undefined || field.variable ? query : withAfterVersion(field, last)
      },
      get variables() {
        return last === undefined || !field.variable ? variables : { ...variables, [field.variable]: last }
      },
      operationName,
    },
    saw(result) {
      const version = field && result.data?.[field.key]?.[field.versionKey]
      if (Number.isInteger(version)) last = version
    },
  }
}

/** Where the operation subscribes to balanceChanged and where its answers carry the version; null when they do not. */
function balanceChangedField(query, operationName) {
  const document = parse(query)
  const operations = document.definitions.filter((d) => d.kind === Kind.OPERATION_DEFINITION)
  const operation = operations.find((d) => d.name?.value === operationName) ?? operations[0]
  const node = operation.selectionSet.selections.find(isField('balanceChanged'))
  const version = node?.selectionSet?.selections.find(isField('version'))
  if (!version) return null
  const after = node.arguments.find((a) => a.name.value === 'afterVersion')?.value
  return {
    document,
    node,
    key: responseKey(node),
    versionKey: responseKey(version),
    variable: after?.kind === Kind.VARIABLE ? after.name.value : undefined,
  }
}

function withAfterVersion({ document, node }, version) {
  const others = node.arguments.filter((a) => a.name.value !== 'afterVersion')
  const argument = {
    kind: Kind.ARGUMENT,
    name: { kind: Kind.NAME, value: 'afterVersion' },
    value: { kind: Kind.INT, value: String(version) },
  }
  const changed = { ...node, arguments: [...others, argument] }
  return print(visit(document, { Field: (n) => (n === node ? changed : undefined) }))
}

function isField(name) {
  return (selection) => selection.kind === Kind.FIELD && selection.name.value === name
}

function responseKey(node) {
  return (node.alias ?? node.name).value
}
