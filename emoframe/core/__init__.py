"""The machinery: components, plugins, registries, schemas, configs. It never imports torch."""
