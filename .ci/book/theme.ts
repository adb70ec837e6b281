/** Where pages are, and the list of them beside each. */
import {
  BaseRouter,
  DefaultTheme,
  type NavigationElement,
  type ProjectReflection,
  type Reflection,
  ReflectionKind,
  type RouterTarget
} from "typedoc"
import * as Contents from "./contents.ts"

/** The documents are named by their files, until they are read. */
export const fileOf = new Map<Reflection, string>()

export class PlaceRouter extends BaseRouter {
  protected getIdealBaseName(target: RouterTarget): string {
    const reflection = target as Reflection
    if (reflection.isDocument()) return Contents.placeOf(fileOf.get(reflection)!).slice(0, -".html".length)
    // A type may have the name of a value, and file systems may not tell Reconnecting from reconnecting.
    const isType = reflection.kindOf([ReflectionKind.Interface, ReflectionKind.TypeAlias])
    return `reference/${reflection.getFullName()}${isType ? ".type" : ""}`
  }
}

/** What has all modules under their names, and nothing of its own. */
export const isEntry = (module: Reflection) => module.name === "effect-handshake" || module.name === "testing"

const moduleGroups: ReadonlyArray<readonly [string, RegExp]> = [
  ["Reference: modules", /^[A-Z]|^effect-handshake$/],
  ["Reference: protocols", /^protocols\//],
  ["Reference: Node", /^node\//],
  ["Reference: testing", /^testing/]
]

export class BookTheme extends DefaultTheme {
  override buildNavigation(project: ProjectReflection): Array<NavigationElement> {
    const documents = new Map(project.documents?.map((document) => [fileOf.get(document)!, document]))
    const entry = (file: string, text?: string): NavigationElement => {
      const document = documents.get(file)!
      return { text: text ?? document.name, path: this.router.getFullUrl(document), kind: ReflectionKind.Document }
    }
    // The entry that has all of them comes first.
    const modulesOf = (name: RegExp) =>
      project.children!.filter((module) => name.test(module.name)).toSorted((a, b) =>
        Number(isEntry(b)) - Number(isEntry(a))
      ).map((module): NavigationElement => ({
        text: module.name,
        path: this.router.getFullUrl(module),
        kind: ReflectionKind.Module,
        children: module.children?.filter((child) => this.router.hasOwnDocument(child)).map((child) => ({
          text: child.name,
          path: this.router.getFullUrl(child),
          kind: child.kind
        })) ?? []
      }))
    return [
      entry("docs/README.md"),
      ...Contents.chapters.map(({ heading, pages }) => ({
        text: heading,
        children: pages.map((page) => entry(page))
      })),
      { text: "The project", children: [entry("examples"), ...Contents.around.map((file) => entry(file))] },
      ...moduleGroups.map(([text, name]) => ({ text, children: modulesOf(name) }))
    ]
  }
}
