/** What the search of the site can find. */
import { posix } from "node:path"
import { Comment, type DeclarationReflection, ReflectionKind, type RouterTarget } from "typedoc"
import * as Contents from "./contents.ts"
import * as Pages from "./pages.ts"
import type * as Search from "./search.ts"

/** What is said of something, and of its members. */
const textOf = (reflection: DeclarationReflection): string => {
  const told = [reflection, ...reflection.signatures ?? [], ...reflection.children ?? []]
  // The signatures of a function may share a comment.
  const first = new Map(told.toReversed().map((one) => [one.comment, one]))
  return told.flatMap((one) =>
    one.comment === undefined || first.get(one.comment) !== one ? [] : [
      one === reflection || one.kindOf(ReflectionKind.CallSignature) ? "" : `${one.name}: `,
      Comment.combineDisplayParts(one.comment.summary)
    ]
  ).join(" ")
}

/** All that can be found. `urls` are the places of what is `documented`. */
export const entries = (
  documented: ReadonlyArray<DeclarationReflection>,
  urls: ReadonlyMap<RouterTarget, string>
): ReadonlyArray<Search.Entry> => [
  ...Array.from(Contents.written).flatMap(([file, text]) =>
    // The index of the book only lists what is found by itself, but for what it says of the search.
    Pages.sections(text).filter(({ anchor }) => file !== "docs/README.md" || ["", "the-search"].includes(anchor)).map((
      section
    ): Search.Entry => ({
      url: section.anchor === "" ? Contents.placeOf(file) : `${Contents.placeOf(file)}#${section.anchor}`,
      title: section.heading,
      page: Pages.titleOf(text),
      text: section.text,
      labels: section.labels,
      code: section.code.slice(0, 2_000),
      kind: file.startsWith("examples/") ? "example" : /^(?:docs\/(?!README)|README)/.test(file) ? "page" : "around"
    }))
  ),
  ...Pages.questions(Contents.bookIndex).map(([question, to]): Search.Entry => {
    const [path, anchor] = to.split("#")
    const file = path === "" ? "docs/README.md" : posix.join("docs", path)
    return {
      url: anchor === undefined ? Contents.placeOf(file) : `${Contents.placeOf(file)}#${anchor}`,
      title: question,
      page: Pages.titleOf(Contents.written.get(file)!),
      text: "",
      code: "",
      kind: "question"
    }
  }),
  ...Pages.terms(Contents.read("docs/glossary.md")).map(([word, meaning]): Search.Entry => ({
    url: Contents.placeOf("docs/glossary.md"),
    title: word,
    page: "Glossary",
    text: meaning,
    code: "",
    kind: "term"
  })),
  ...documented.map((reflection): Search.Entry => {
    const [text, ...code] = textOf(reflection).split("```")
    const isModule = reflection.kindOf(ReflectionKind.Module)
    return {
      url: urls.get(reflection)!,
      title: isModule ? reflection.name : `${reflection.parent!.name.split("/").at(-1)}.${reflection.name}`,
      page: isModule ? "Module" : `${ReflectionKind.singularString(reflection.kind)} of ${reflection.parent!.name}`,
      text: Pages.plain(text),
      code: code.join("").slice(0, 1_000),
      kind: "reference"
    }
  })
]
