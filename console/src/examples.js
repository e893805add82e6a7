// The files under examples/ in the order of their names: one tab each, and the entries of the Examples menu.
const files = import.meta.glob('../examples/*.graphql', { query: '?raw', import: 'default', eager: true })

export const examples = Object.keys(files)
  .sort()
  .map((path) => ({ name: operationName(files[path]), query: files[path] }))

function operationName(query) {
  return /^(?:query|mutation|subscription) +(\w+)/m.exec(query)[1]
}
