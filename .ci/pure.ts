/**
 * What a module computes when it is loaded, and nobody uses, leaves no trace in a bundle: calls whose value is all there is to them are
 * annotated for bundlers as `#__PURE__`. They cannot see that of themselves, and would keep what is called, and all that this needs.
 *
 * By itself it does so in what was built: `node .ci/pure.ts FOLDER`.
 */
import { globSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseAst } from "rolldown/parseAst"

const annotation = "/*#__PURE__*/ "

interface Node {
  readonly type: string
  readonly start: number
  readonly [property: string]: unknown
}

const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && "type" in value

/** What is evaluated when the node is, and not only when something is called. */
const parts = (node: Node): ReadonlyArray<unknown> => {
  switch (node.type) {
    case "ArrowFunctionExpression":
    case "FunctionDeclaration":
    case "FunctionExpression":
    case "ExpressionStatement":
      return []
    case "MethodDefinition":
      return [node.key]
    case "PropertyDefinition":
      return node.static === true ? [node.key, node.value] : [node.key]
    default:
      return Object.values(node).flat()
  }
}

/** Where the calls begin that are made when the module is loaded, whose value is bound to something. */
const calls = (node: Node): ReadonlyArray<number> => [
  ...node.type === "CallExpression" || node.type === "NewExpression" ? [node.start] : [],
  ...parts(node).flatMap((part) => isNode(part) ? calls(part) : [])
]

/** The same module, annotated. */
export const annotated = (code: string, lang: "js" | "ts"): string => {
  const places = new Set(calls(parseAst(code, { lang }) as unknown as Node))
  let written = ""
  let from = 0
  for (const place of Array.from(places).sort((a, b) => a - b)) {
    written += code.slice(from, place) + annotation
    from = place
  }
  return written + code.slice(from)
}

if (import.meta.main) {
  const [folder = "dist"] = process.argv.slice(2)
  for (const file of globSync("**/*.js", { cwd: folder })) {
    const path = join(folder, file)
    writeFileSync(path, annotated(readFileSync(path, "utf8"), "js"))
  }
}
