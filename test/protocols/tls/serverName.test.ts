/**
 * The names of servers, as people write them and as DNS, TLS and certificates have them.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as ServerName from "../../../src/protocols/tls/serverName.ts"

const parsed = (text: string): string =>
  Result.match(ServerName.parse(text), {
    onSuccess: (name) => name._tag === "Name" ? `name ${name.name}` : `address ${name.address}`,
    onFailure: () => "none"
  })

const letters = (length: number) => "a".repeat(length)

/** A name of this many characters, in labels of 63 and one that is shorter. */
const ofLength = (length: number) => (`${letters(63)}.`.repeat(4)).slice(0, length - 1) + "a"

describe("a name", () => {
  const spellings: ReadonlyArray<readonly [text: string, means: string, why: string]> = [
    ["example.com", "name example.com", "is one"],
    ["localhost", "name localhost", "may have one label"],
    ["Example.COM", "name example.com", "is the same in any case (RFC 4343)"],
    ["example.com.", "name example.com", "may have DNS's final dot, which TLS does not have (RFC 6066 3)"],
    ["my_db.internal", "name my_db.internal", "may have underscores, as those of containers do"],
    ["r3---sn.example", "name r3---sn.example", "may have any hyphens inside"],
    ["xn--mnchen-3ya.example", "name xn--mnchen-3ya.example", "is in A-labels"],
    ["MÜNCHEN.example.", "name xn--mnchen-3ya.example", "may be in U-labels (RFC 5890 2.3.2.1)"],
    ["mu\u0308nchen.example", "name xn--mnchen-3ya.example", "may be composed or not"],
    ["例え。テスト", "name xn--r8jz45g.xn--zckzah", "may have the dots of its own script"],
    [letters(63), `name ${letters(63)}`, "has labels of 63 (RFC 1035 2.3.4)"],
    [letters(64), "none", "has no longer labels"],
    [ofLength(253), `name ${ofLength(253)}`, "has 253 characters"],
    [`${ofLength(253)}.`, `name ${ofLength(253)}`, "and a dot"],
    [ofLength(254), "none", "has no more"],
    ["192.0.2.1", "address 192.0.2.1", "may be an address of IPv4"],
    ["2001:db8::1", "address 2001:db8::1", "of IPv6"],
    ["[2001:db8::1]", "address 2001:db8::1", "as a URL has it"],
    ["fe80::1%eth0", "address fe80::1", "with a zone, which is no part of it"],
    ["[fe80::1%25eth0]", "address fe80::1", "as a URL has that"],
    ["", "none", "is not empty"],
    [".", "none", "is not the root"],
    ["a..b", "none", "has no empty label"],
    [".a", "none", "has no empty label before it"],
    ["-a.test", "none", "begins with no hyphen (RFC 1123 2.1)"],
    ["a-.test", "none", "and no label ends with one"],
    ["evil.test/.db.example.test", "none", "has no path"],
    ["evil.test#x", "none", "has no fragment"],
    ["evil%2etest", "none", "is not written in percent"],
    ["ann@evil.test", "none", "has no user"],
    ["evil.test:443", "none", "has no port"],
    ["evil.test\\x", "none", "has no backslash"],
    ["evil\t.test", "none", "has no tab, which URLs pass over"],
    ["evil.test\n", "none", "and no end of line"],
    [" evil.test", "none", "and no space"],
    ["evil\0.test", "none", "and no NUL"],
    ["evil／.test", "none", "has no slash of another width"],
    ["evil％2etest", "none", "and no percent of another width"],
    ["a\ud800.test", "none", "has no half of a character"],
    ["*.example.com", "none", "is no wildcard"],
    ["127.1", "none", "does not look like an address to a resolver"],
    ["0x7f.0.0.1", "none", "in hexadecimal"],
    ["010.0.0.1", "none", "in octal"],
    ["１２７.０.０.１", "none", "in digits of another width"],
    ["192.0.2.1.", "none", "or with a final dot"],
    ["[192.0.2.1]", "none", "has brackets around IPv6 alone"],
    ["[2001:db8::1", "none", "has both brackets"]
  ]
  it.each(spellings)("%j is %s: it %s", (text, means) => {
    expect(parsed(text)).toBe(means)
  })

  it("that is none is told as it is written, printable and within bounds", () => {
    const why = Result.getOrThrow(Result.flip(ServerName.parse(`a b\u001b[2J${letters(100_000)}`)))
    expect(why).toMatch(/^"a b\\x1b\[2J/)
    expect(why.length).toBeLessThan(500)
  })
})

describe("a table of names", () => {
  const found = (names: ReadonlyArray<string>, name: string) =>
    Result.map(
      ServerName.table(Object.fromEntries(names.map((name) => [name, name]))),
      (table) => ServerName.find(table, name)
    )

  const names = ["Example.com.", "*.Example.com", "*.b.example.com", "bücher.example", "*.bücher.example"]
  it.each([
    ["example.com", "Example.com."],
    ["EXAMPLE.COM.", "Example.com."],
    ["a.example.com", "*.Example.com"],
    ["b.example.com", "*.Example.com"],
    ["a.b.example.com", "*.b.example.com"],
    ["xn--bcher-kva.example", "bücher.example"],
    ["Bücher.example", "bücher.example"],
    ["xn--4ca.xn--bcher-kva.example", "*.bücher.example"],
    ["a.a.example.com", undefined],
    ["com", undefined],
    [".example.com", undefined],
    ["a/.example.com", undefined],
    ["*.example.com", undefined],
    ["", undefined],
    ["192.0.2.1", undefined],
    ["constructor", undefined]
  ])("has for %j that of %j", (name, key) => {
    expect(found(names, name)).toEqual(Result.succeed(key))
  })

  it.each([
    "a b",
    "",
    "*",
    "f*.example.com",
    "a.*.example.com",
    "*.*.example.com",
    "**.example.com",
    "192.0.2.1",
    "[::1]"
  ])(
    "has nothing for %j, and says so",
    (key) => {
      expect(Result.isFailure(found([key], "example.com"))).toBe(true)
    }
  )

  it("takes the first of two spellings", () => {
    expect(found(["a.test", "A.test."], "a.test")).toEqual(Result.succeed("a.test"))
  })
})
