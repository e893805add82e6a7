import { grouped } from './groups.js'

// The files under examples/, one operation each.
const files = import.meta.glob('../examples/*.graphql', { query: '?raw', import: 'default', eager: true })

export const groups = grouped(files)
export const examples = groups.flatMap((group) => group.examples)
