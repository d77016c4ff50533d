"""The verbs: observe, plan, apply, record. Given its adapters by app; never imports one."""
