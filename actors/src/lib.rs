//! Who decides and who carries: queue actors, coordinator, event hub, reaper, health
