/** The certificates of the tests are those of the examples, which are copied out of the package and have to have theirs with them. */
export * from "../../../examples/certificates/index.ts"
