/** Where pages are, and the list of them beside each. */
import {
  BaseRouter,
  DefaultTheme,
  DefaultThemeRenderContext,
  JSX,
  type NavigationElement,
  type PageEvent,
  type ProjectReflection,
  type Reflection,
  ReflectionKind,
  type RouterTarget
} from "typedoc"
import * as Contents from "./contents.ts"
import * as Functions from "./functions.ts"

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

/** Each option, with its type and what is said of it: its unit, its default. */
const optionList = (context: DefaultThemeRenderContext, options: ReadonlyArray<Functions.Option>) =>
  JSX.createElement(
    "ul",
    { class: "tsd-parameters options" },
    ...options.map(({ comment, isOptional, name, type }) =>
      JSX.createElement(
        "li",
        { class: "tsd-parameter" },
        JSX.createElement(
          "h5",
          null,
          JSX.createElement("span", { class: "tsd-kind-property" }, name),
          JSX.createElement("span", { class: "tsd-signature-symbol" }, isOptional ? "?: " : ": "),
          JSX.createElement("span", { class: "tsd-signature-type" }, type)
        ),
        comment === undefined ? null : JSX.createElement(
          "div",
          { class: "tsd-comment tsd-typography" },
          JSX.createElement(JSX.Raw, { html: context.markdown(comment.summary) })
        )
      )
    )
  )

class BookContext extends DefaultThemeRenderContext {
  constructor(...args: ConstructorParameters<typeof DefaultThemeRenderContext>) {
    super(...args)
    const { memberSignatures, typeDeclaration, typeDetailsIfUseful, typeParameters } = this
    this.memberSignatures = (reflection) => {
      if (!Functions.isDual(reflection)) return memberSignatures(reflection)
      return JSX.createElement(
        "ul",
        { class: "tsd-signatures" },
        ...reflection.signatures!.map((signature) =>
          JSX.createElement(
            "li",
            null,
            JSX.createElement(
              "div",
              { class: "tsd-signature", id: this.getAnchor(signature) },
              this.memberSignatureTitle(signature)
            )
          )
        ),
        JSX.createElement(
          "li",
          null,
          JSX.createElement(
            "div",
            { class: "tsd-description" },
            this.memberSignatureBody(reflection.signatures!.at(-1)!)
          )
        )
      )
    }
    this.typeDetailsIfUseful = (reflection, type) => {
      const options = Functions.optionsOf.get(reflection as Reflection)
      return options === undefined ? typeDetailsIfUseful(reflection, type) : optionList(this, options)
    }
    this.typeDeclaration = (reflection, type) => {
      const options = Functions.optionsOf.get(reflection)
      if (options === undefined) return typeDeclaration(reflection, type)
      return JSX.createElement(
        "div",
        { class: "tsd-type-declaration" },
        JSX.createElement("h4", null, "Options"),
        optionList(this, options)
      )
    }
    // Those of which nothing is said stand in the signature.
    this.typeParameters = (parameters) => {
      const told = parameters.filter((parameter) => parameter.hasComment())
      return told.length === 0 ? JSX.createElement(JSX.Fragment, null) : typeParameters(told)
    }
  }
}

export class BookTheme extends DefaultTheme {
  override getRenderContext(page: PageEvent<Reflection>): DefaultThemeRenderContext {
    return new BookContext(this.router, this, page, this.application.options)
  }

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
